"""A front door of built-in interpreters that runs on every system, Windows too, where there is no local pool.

It answers as Azure does what a kernel asks of it: executions, looks at sessions and their end. A session is a real
IPython kernel. It can have no agent, as if its system had no Unix sockets, so that cells are sent one by one.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from remote_kernel.core.interpreter_api.executions import Execution, Outcome, Status
from remote_kernel.core.interpreter_api.requests import parse_request
from remote_kernel.core.interpreter_api.values import nothing, value_of
from remote_kernel.core.interpreter_api.versions import EXECUTIONS_PATH, METADATA_PATH, SESSION_PATH, parse_api_version
from tests.client.serving import Answer, serve

# How many sessions somebody has given back.
COUNT_PATH = "/.tests/ended"

TOKEN = "of-the-front-door"
SECONDS = 60.0

# What an agent would need.
_CLOSED = "import socket, sys; vars(socket).pop('AF_UNIX', None); sys.modules['fcntl'] = None"


class Interpreter:
    """One session."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel()
        self._client: BlockingKernelClient = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)
        self._lock = threading.Lock()
        self.run(_CLOSED)

    def run(self, code: str) -> Outcome:
        """Run code to its end."""
        printed: dict[str, str] = {"stdout": "", "stderr": ""}
        values: list[Any] = [nothing()]

        def collect(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed[message["content"]["name"]] += message["content"]["text"]
            elif message["msg_type"] == "execute_result":
                values.append(value_of(message["content"]["data"]))

        with self._lock:
            reply = self._client.execute_interactive(code, output_hook=collect, timeout=SECONDS, allow_stdin=False)
        content = reply["content"]
        error = None if content["status"] == "ok" else (content.get("ename", ""), content.get("evalue", ""))
        return Outcome(
            stdout=printed["stdout"], stderr=printed["stderr"], value=values[-1], milliseconds=1, error=error
        )

    def stop(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class FrontDoor:
    """The front door, as a process of its own: see `opened`."""

    def __init__(self) -> None:
        self.sessions: dict[str, Interpreter] = {}
        self._ended = 0
        self._lock = threading.Lock()

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        """Answer a request."""
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        url = urlsplit(request.path)
        params = parse_qs(url.query)
        if url.path == COUNT_PATH:
            return _json(200, {"ended": self._ended})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _refusal(401, "Unauthorized")
        identifier = params.get("identifier", ["default-session"])[0]
        match request.command, url.path:
            case "POST", path if path == EXECUTIONS_PATH:
                version = parse_api_version(params.get("api-version", [""])[0])
                outcome = self._session(identifier).run(parse_request(body, version).code)
                status = Status.SUCCEEDED if outcome.error is None else Status.FAILED
                done = Execution(
                    id="execution-1", identifier=identifier, is_asynchronous=False, status=status, outcome=outcome
                )
                return _json(200, done.to_json(version))
            case "GET", path if path == METADATA_PATH:
                return _json(200, {"runtimes": [{"name": "python"}]})
            case "GET", path if path == SESSION_PATH and identifier in self.sessions:
                return _json(200, {"identifier": identifier})
            case "DELETE", path if path == SESSION_PATH and identifier in self.sessions:
                self.sessions.pop(identifier).stop()
                self._ended += 1
                return _json(200, {})
            case "GET" | "DELETE", path if path == SESSION_PATH:
                return _refusal(404, "SessionNotFound")
        return _refusal(404, "NotFound")

    def _session(self, identifier: str) -> Interpreter:
        with self._lock:
            if identifier not in self.sessions:
                self.sessions[identifier] = Interpreter()
            return self.sessions[identifier]


def _refusal(status: int, code: str) -> Answer:
    return _json(status, {"error": {"code": code, "message": "No."}})


def _json(status: int, value: object) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


@dataclass(frozen=True)
class Opened:
    """A front door that is open."""

    endpoint: str

    def count_ended(self) -> int:
        """Return how many sessions somebody has given back."""
        return int(httpx.get(self.endpoint + COUNT_PATH).json()["ended"])


@contextmanager
def opened() -> Iterator[Opened]:
    """Open a front door until the end of the block."""
    command = [sys.executable, "-m", "tests.places.front_door"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Opened(process.stdout.readline().strip())
        finally:
            process.communicate()  # ends its input, and so the front door


def main() -> None:
    """Open it, print its address, and close it when standard input ends."""
    door = FrontDoor()
    with serve(door.answer) as port:
        print(f"http://127.0.0.1:{port}", flush=True)
        sys.stdin.read()
    for session in door.sessions.values():
        session.stop()


if __name__ == "__main__":
    main()
