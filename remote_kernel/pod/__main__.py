"""`remote-kernel-pod`: the program that runs in a pod."""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import anyio.lowlevel

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.interpreter_api.versions import SYNC_LIMIT_SECONDS
from remote_kernel.core.pools.flavor import Flavor, Sandbox
from remote_kernel.core.settings import log_level
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC
from remote_kernel.io.activity import ActivityWriter
from remote_kernel.io.http1.listening import open_listener, parse_port, reason
from remote_kernel.io.http1.serving import Server, stop_on_signals
from remote_kernel.io.log_files import log_to_stderr
from remote_kernel.io.private_files import make_private_folder
from remote_kernel.io.system.fork_server import ForkServer
from remote_kernel.io.system.open_files import allow_many_files
from remote_kernel.io.tasks import start
from remote_kernel.pod.api.calls import MAX_BODY_BYTES
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.app import create_app
from remote_kernel.pod.environment import cooldown_seconds, kernel_environ
from remote_kernel.pod.files.data_folder import AZURE_DATA, DataFolder
from remote_kernel.pod.interpreter_api.executions import Executions
from remote_kernel.pod.interpreter_api.routes import InterpreterApi
from remote_kernel.pod.kernels.registry import Registry

DEFAULT_PORT = 8080

# Open event streams have been told to end; nobody needs longer.
SHUTDOWN_SECONDS = 1

# Far more than a front door opens for one session.
MAX_CONNECTIONS = 1_000
MIN_CONNECTIONS = 4
# What the agent itself has open, with the sockets and pipes of a few kernels.
OWN_FILES = 64


class CannotStart(Exception):
    """Something that the pod needs cannot be had; the message says what and why."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="remote-kernel-pod",
        description="Serve Jupyter kernels over HTTP in a pod. There is no password: only a session pool may reach it.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=parse_port, default=DEFAULT_PORT, help="port to listen on (default: %(default)s)")
    add("--uds", metavar="PATH", help="listen on this Unix socket instead")
    add("--data", metavar="DIR", type=Path, help="the kernels' folder (default: /mnt/data, else .)")
    add("--kernel", default=DEFAULT_KERNELSPEC, help="kernelspec to have ready (default: %(default)s)")
    add("--scratch", metavar="DIR", type=Path, help="private folder to use, removed at the end")
    add(
        "--flavor", choices=[flavor.value for flavor in Flavor], default=Flavor.CUSTOM.value,
        help="serve notebooks and the interpreter API, or the latter alone (default: %(default)s)",
    )  # fmt: skip
    add(
        "--sandbox", choices=[sandbox.value for sandbox in Sandbox], default=Sandbox.NONE.value,
        help="'strict': code can neither write files nor start programs (default: %(default)s)",
    )  # fmt: skip
    add("--sync-limit", type=float, default=SYNC_LIMIT_SECONDS, help=argparse.SUPPRESS)
    add("--activity", metavar="FILE", type=Path, help=argparse.SUPPRESS)
    add("--supervised", action="store_true", help="say on standard output when ready; end with stdin")
    return parser


def strict_environ(scratch: Path) -> dict[str, str]:
    """Return what makes an IPython kernel lock itself in as it starts; matplotlib wants a folder all the same."""
    return {"PYTHONSTARTUP": str(Path(__file__).with_name("strict_sandbox.py")), "MPLCONFIGDIR": str(scratch)}


async def serve(
    arguments: argparse.Namespace, scratch: Path, listener: socket.socket | None, environ: Mapping[str, str],
    forks: ForkServer | None,
) -> None:  # fmt: skip
    """Run until a signal, or, when supervised, until standard input ends; without `listener` on the Unix socket."""
    with _naming_what_fails():
        data = arguments.data or (AZURE_DATA if os.access(AZURE_DATA, os.W_OK) else Path.cwd())
        data.mkdir(parents=True, exist_ok=True)
        activity = ActivityWriter(arguments.activity) if arguments.activity else None
    name = f"pod-{secrets.token_hex(3)}"
    is_strict = arguments.sandbox == Sandbox.STRICT
    cooldown = cooldown_seconds(environ)
    of_kernels = kernel_environ(environ, name) | (strict_environ(scratch) if is_strict else {})
    registry = Registry(folder=scratch, data=data, environ=of_kernels, cooldown_seconds=cooldown, forks=forks)
    folder = DataFolder(data, is_read_only=is_strict)
    pod = Pod(registry=registry, folder=folder, name=name, cooldown_seconds=cooldown, activity=activity)
    executions = Executions(registry, kernelspec=arguments.kernel, sync_limit_seconds=arguments.sync_limit)
    interpreter_api = InterpreterApi(executions, folder)
    app = create_app(pod, interpreter_api, is_interpreter_only=arguments.flavor == Flavor.INTERPRETER)
    connections = max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, allow_many_files() - OWN_FILES))
    server = Server(
        app, uds=arguments.uds, protocol={"max_connections": connections, "gathered_bytes": MAX_BODY_BYTES},
        log_level="warning", timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip

    def stop(_signal: int = 0) -> None:
        pod.stop()
        executions.stop()
        server.should_exit = True

    stop_on_signals(stop)
    if arguments.supervised:
        _call_at_end_of_input(stop)
    await anyio.lowlevel.checkpoint()  # loads what an answer that streams needs, which takes as long as a few cells
    port = listener.getsockname()[1] if listener else None
    # A supervisor that hears nothing of it waits for long.
    preparing = start(_prepare(registry, arguments, server, port), "preparing", on_failure=lambda _: stop())
    try:
        await server.serve(None if listener is None else [listener])
    except OSError as error:
        raise CannotStart(f"remote-kernel-pod: cannot listen on {arguments.uds}: {reason(error)}.") from None
    finally:
        preparing.cancel()
        await asyncio.wait([preparing])
        await registry.aclose()
        if activity is not None:
            activity.close()
    if not preparing.cancelled() and preparing.exception() is not None:
        raise CannotStart("remote-kernel-pod: failed inside while it started; the line before this one says where.")


async def _prepare(registry: Registry, arguments: argparse.Namespace, server: Server, port: int | None) -> None:
    """Start the spare interpreter, then tell the supervisor; the port is open meanwhile, for health probes."""
    try:
        await registry.prepare(arguments.kernel)
    except RemoteKernelError as error:
        print(f"remote-kernel-pod: {error}", file=sys.stderr)
    await server.is_listening.wait()
    if arguments.supervised and not server.should_exit:
        with contextlib.suppress(BrokenPipeError):  # the end of its supervisor ends standard input too
            os.write(sys.stdout.fileno(), json.dumps({"ready": True, "port": port}).encode() + b"\n")


def _call_at_end_of_input(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop()

    loop.add_reader(descriptor, read)


def main(argv: Sequence[str] | None = None, forks: ForkServer | None = None) -> int:
    """Run the agent, with what forks interpreters for it where there is such a one; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    environ = dict(os.environ)
    log_to_stderr("pod", log_level(environ), is_json=not sys.stderr.isatty())
    try:
        _run(arguments, environ, forks)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace, environ: Mapping[str, str], forks: ForkServer | None) -> None:
    """Serve between the making and the removal of the private folder; raises `CannotStart`."""
    listener = None if arguments.uds else _listen(arguments.host, arguments.port)
    with listener or contextlib.nullcontext():
        scratch = _make_scratch(arguments.scratch)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(serve(arguments, scratch, listener, environ, forks))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return open_listener(host, port)
    except OSError as error:
        raise CannotStart(f"remote-kernel-pod: cannot listen on {host}, port {port}: {reason(error)}.") from None


def _make_scratch(folder: Path | None) -> Path:
    with _naming_what_fails():
        if folder is None:
            return Path(tempfile.mkdtemp(prefix="rk-"))
        make_private_folder(folder)
    return folder


@contextlib.contextmanager
def _naming_what_fails() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename or "the current or temporary folder"  # of which the system gives no name
        raise CannotStart(f"remote-kernel-pod: cannot use {name}: {error.strerror}.") from None


if __name__ == "__main__":
    sys.exit(main())
