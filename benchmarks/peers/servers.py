"""Servers that run kernels for others, each a process of its own on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.driver import TIMEOUT_SECONDS, free_ports, wait_until

# Jupyter Server's for what a page takes in a second. A user has them in front of every kernel, ours and ipykernel
# included, so they are no property of the peers; with them a flood would be cut before anything could be measured.
NO_LIMITS = "--ZMQChannelsWebsocketConnection.limit_rate=False"


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and what it wants to be shown."""

    url: str
    token: str = field(repr=False)

    @classmethod
    @contextmanager
    def kernel_gateway(cls, token: str, *, has_nodelay: bool) -> Iterator["Server"]:
        """Run a Kernel Gateway as it comes, or with TCP_NODELAY on its WebSockets."""
        shim = str(Path(__file__).with_name("nodelay_gateway.py"))
        command = [shim] if has_nodelay else ["-m", "kernel_gateway"]
        (port,) = free_ports(1)
        options = ["--KernelGatewayApp.ip=127.0.0.1", f"--KernelGatewayApp.port={port}", NO_LIMITS]
        with cls._run([*command, *options], port, token, {"KG_AUTH_TOKEN": token, "KG_PORT_RETRIES": "0"}) as server:
            yield server

    @classmethod
    @contextmanager
    def jupyter_server(cls, token: str) -> Iterator["Server"]:
        (port,) = free_ports(1)
        options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", NO_LIMITS]
        with cls._run(["-m", "jupyter_server", *options], port, token, {"JUPYTER_TOKEN": token}) as server:
            yield server

    @classmethod
    @contextmanager
    def _run(cls, command: list[str], port: int, token: str, environ: Mapping[str, str]) -> Iterator["Server"]:
        server = cls(f"http://127.0.0.1:{port}", token)
        process = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **environ}, cwd=os.environ["HOME"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with process:
            try:
                wait_until(lambda: server._answers(process))
                yield server
            finally:
                process.terminate()
                process.wait(TIMEOUT_SECONDS)

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        headers = {"authorization": f"token {self.token}"}
        try:
            return httpx.get(f"{self.url}/api/kernelspecs", headers=headers, timeout=TIMEOUT_SECONDS).is_success
        except httpx.TransportError:
            return False
