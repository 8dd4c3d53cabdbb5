"""The agents of all light pods in one process: `python -m benchmarks.many.light_agents CONTROL`.

The agent is the real one, HTTP server, API and journal; only its kernels are light.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import uvicorn
from uvicorn.server import ServerState

from benchmarks.many.light_kernel import LightRegistry
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC
from remote_kernel.io.http1.server import ServerProtocol
from remote_kernel.io.system.open_files import allow_many_files
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.app import create_app
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreter_api.executions import Executions
from remote_kernel.pod.interpreter_api.routes import InterpreterApi

COOLDOWN_SECONDS = 300.0


async def serve(control: Path) -> None:
    """Serve a socket for each pod that connects to `control` and names it, until the pod goes."""
    server = await asyncio.start_unix_server(_keep_pod, control)
    print("ready", flush=True)
    await server.serve_forever()


async def _keep_pod(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readline()).decode().strip()
    with tempfile.TemporaryDirectory(prefix="rk-light-", ignore_cleanup_errors=True) as folder:
        server = await _serve_pod(path, Path(folder))
        writer.write(b"!")
        await reader.read()
        server.close()
        writer.close()


async def _serve_pod(path: str, folder: Path) -> asyncio.Server:
    registry = LightRegistry(folder)
    await registry.prepare(DEFAULT_KERNELSPEC)
    data = DataFolder(folder)
    pod = Pod(registry=registry, folder=data, name="light", cooldown_seconds=COOLDOWN_SECONDS)
    executions = Executions(registry, kernelspec=DEFAULT_KERNELSPEC, sync_limit_seconds=220)
    app = create_app(pod, InterpreterApi(executions, data))
    config = uvicorn.Config(
        app, http=ServerProtocol, access_log=False, proxy_headers=False, log_level="critical", lifespan="off",
        ws="none", timeout_keep_alive=75,
    )  # fmt: skip
    config.load()
    state = ServerState()
    # A `uvicorn.Server` of its own for each of hundreds would wake ten times a second for each.
    return await asyncio.get_running_loop().create_unix_server(
        lambda: ServerProtocol(config=config, server_state=state, app_state={}), path
    )


if __name__ == "__main__":
    allow_many_files()
    asyncio.run(serve(Path(sys.argv[1])))
