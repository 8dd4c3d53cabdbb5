"""A JupyterHub whose users are made up, with its proxy and its users' servers, all on this machine."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.driver import TIMEOUT_SECONDS, free_ports, wait_until

# Settings are read from this file, so that nothing of it has to be put into Python's syntax.
_CONFIG = """\
import json
from pathlib import Path

for section, values in json.loads(Path("settings.json").read_text()).items():
    get_config()[section].update(values)
"""


@dataclass
class Hub:
    """A running hub, as its administrator sees it; users and their servers come to be when they are asked for."""

    url: str
    token: str = field(repr=False)

    @classmethod
    @contextmanager
    def start(cls, home: Path, notebooks: Path, environ: Mapping[str, str]) -> Iterator["Hub"]:
        """Run a hub.

        Args:
            home: where it has its files, and each user a home.
            notebooks: the folder that every user's server shows.
            environ: what the administrator puts into the environment of every server.
        """
        front, back, api = free_ports(3)
        hub = cls(url=f"http://127.0.0.1:{front}", token=secrets.token_hex(16))
        (home / "jupyterhub_config.py").write_text(_CONFIG)
        (home / "settings.json").write_text(json.dumps(hub._settings(home, notebooks, environ, back, api)))
        command = [sys.executable, "-m", "jupyterhub", "-f", "jupyterhub_config.py"]
        with (home / "hub.log").open("w") as log:
            process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
        with process:
            try:
                wait_until(lambda: hub._is_ready(process))
                yield hub
            finally:
                process.terminate()  # ends the proxy and the users' servers, too
                process.wait(TIMEOUT_SECONDS)

    def _settings(
        self, home: Path, notebooks: Path, environ: Mapping[str, str], back: int, api: int
    ) -> dict[str, dict[str, object]]:
        programs = Path(sys.executable).parent
        scopes = ["admin:users", "admin:servers", "access:servers"]
        return {
            "JupyterHub": {
                "bind_url": self.url,
                "hub_bind_url": f"http://127.0.0.1:{back}",
                "db_url": "sqlite:///:memory:",
                "authenticator_class": "dummy",
                "spawner_class": "simple",
                "allow_named_servers": True,
                "services": [{"name": "tests", "api_token": self.token}],
                "load_roles": [{"name": "tests", "services": ["tests"], "scopes": scopes}],
            },
            "Authenticator": {"allow_all": True},
            "ConfigurableHTTPProxy": {
                "command": [str(programs / "configurable-http-proxy")],
                "api_url": f"http://127.0.0.1:{api}",
            },
            "SimpleLocalProcessSpawner": {"home_dir_template": f"{home}/{{username}}"},
            "Spawner": {
                "cmd": [str(programs / "jupyterhub-singleuser")],
                "args": ["--allow-root"],
                "notebook_dir": str(notebooks),
                "environment": {"JUPYTERHUB_SINGLEUSER_APP": "jupyter-server", **environ},
            },
        }

    def _is_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, "the hub has ended; its log says why"
        try:
            # Before the hub itself is there, its proxy answers with 404.
            return httpx.get(f"{self.url}/hub/api/", timeout=TIMEOUT_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def client(self) -> httpx.Client:
        """Return an HTTP client with the administrator's rights."""
        return httpx.Client(
            base_url=self.url,
            headers={"authorization": f"token {self.token}"},
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
        )

    def open_server(self, user: str, name: str = "") -> "UserServer":
        """Start a user's server, the default one or a named one, and wait until it answers."""
        with self.client() as client:
            client.post(f"/hub/api/users/{user}")  # 409 where the user is known
            client.post(f"/hub/api/users/{user}/servers/{name}").raise_for_status()
            wait_until(lambda: self._servers(client, user).get(name, {}).get("ready", False))
        return UserServer(self, user, name)

    def stop_server(self, user: str, name: str = "") -> None:
        """Stop a user's server, as its user or an idle culler does."""
        with self.client() as client:
            client.delete(f"/hub/api/users/{user}/servers/{name}").raise_for_status()
            wait_until(lambda: name not in self._servers(client, user))

    def _servers(self, client: httpx.Client, user: str) -> dict[str, Any]:
        servers: dict[str, Any] = client.get(f"/hub/api/users/{user}").raise_for_status().json()["servers"]
        return servers


@dataclass
class UserServer:
    """One user's Jupyter server, reached through the hub's proxy."""

    hub: Hub
    user: str
    name: str

    @property
    def path(self) -> str:
        return f"/user/{self.user}/{self.name}".rstrip("/")

    def run(self, notebook: str, code: str) -> str:
        """Open a notebook with the remote kernel, as JupyterLab does, run a cell and return what it printed."""
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "remote"}}
        with self.hub.client() as client:
            session = client.post(f"{self.path}/api/sessions", json=body).raise_for_status().json()
        return asyncio.run(asyncio.wait_for(self._execute(session["kernel"]["id"], code), TIMEOUT_SECONDS))

    def close(self, notebook: str) -> None:
        """Shut a notebook's kernel down."""
        with self.hub.client() as client:
            for session in client.get(f"{self.path}/api/sessions").raise_for_status().json():
                if session["path"] == notebook:
                    client.delete(f"{self.path}/api/sessions/{session['id']}").raise_for_status()

    async def _execute(self, kernel: str, code: str) -> str:
        url = f"ws{self.hub.url.removeprefix('http')}{self.path}/api/kernels/{kernel}/channels"
        connection = await websocket_connect(HTTPRequest(url, headers={"authorization": f"token {self.hub.token}"}))
        try:
            return await run_cell(connection, code)
        finally:
            connection.close()
            while await connection.read_message() is not None:  # until the other side has closed, too
                pass


async def run_cell(connection: WebSocketClientConnection, code: str) -> str:
    """Execute code over the server's WebSocket and return what was printed when the kernel is idle again."""
    msg_id = uuid.uuid4().hex
    header = {"msg_id": msg_id, "msg_type": "execute_request", "session": msg_id, "username": "", "version": "5.3"}
    request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": {"code": code}}
    await connection.write_message(json.dumps(request))
    printed = ""
    while (text := await connection.read_message()) is not None:
        message = json.loads(text)
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        content = message["content"]
        assert message["msg_type"] != "error", content["evalue"]
        if message["msg_type"] == "stream":
            printed += content["text"]
        elif content.get("execution_state") == "idle":
            return printed
    raise AssertionError("the connection to the kernel was closed")


def environment_of(endpoint: str, token: str) -> dict[str, str]:
    """Return what an administrator sets for every user: one pool, and here even one identity key."""
    key = "a2V5IG9mIGFsbCB1c2VycywgZm9yIHRlc3RzIG9ubHk="
    return {
        "REMOTE_KERNEL_ENDPOINT": endpoint,
        "REMOTE_KERNEL_TOKEN": token,
        "REMOTE_KERNEL_IDENTITY_KEY": key,
        "PATH": os.environ["PATH"],
    }
