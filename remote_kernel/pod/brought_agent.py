"""The agent that a kernel brings along: the pod's API on a Unix socket, beside a pod's built-in interpreter.

It needs what a Jupyter kernel needs, and no web server. It lives as long as its folder, which goes with the pod.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC
from remote_kernel.io.log_files import log_to_stderr
from remote_kernel.io.tasks import start
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.batches import Exchanges, lease_seconds, serve
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.environment import cooldown_seconds, kernel_environ
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.registry import Registry

# Where pods are folders, as in the local pool, nothing else tells that one was removed.
LOOK_SECONDS = 1.0


async def run(folder: Path, data: Path, environ: Mapping[str, str]) -> None:
    """Serve until the folder is gone, or SIGTERM."""
    name = environ.get("REMOTE_KERNEL_POD") or f"pod-{secrets.token_hex(3)}"
    scratch = folder / "k"
    scratch.mkdir(mode=0o700, exist_ok=True)
    cooldown = cooldown_seconds(environ)
    of_kernels = kernel_environ(environ, name)
    registry = Registry(folder=scratch, data=data, environ=of_kernels, cooldown_seconds=cooldown)
    pod = Pod(registry=registry, folder=DataFolder(data), name=name, cooldown_seconds=cooldown)
    exchanges = Exchanges(Api(pod), lease_seconds(pod.cooldown_seconds))
    socket = folder / "s"
    socket.unlink(missing_ok=True)
    server = await serve(exchanges, str(socket))
    preparing = start(_prepare(registry), "preparing")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        while socket.exists() and not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
    finally:
        pod.stop()
        server.close()
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        await exchanges.aclose()
        await registry.aclose()


async def _prepare(registry: Registry) -> None:
    """Start the spare interpreter; whoever asks for a kernel is told when that does not work."""
    with contextlib.suppress(RemoteKernelError):
        await registry.prepare(DEFAULT_KERNELSPEC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="agent")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    log_to_stderr("pod", "WARNING")  # a file beside it; see `remote_kernel.injected.start`
    asyncio.run(run(arguments.folder, arguments.data, dict(os.environ)))


if __name__ == "__main__":
    main()
