"""Somebody who listens on a port of loopback, gives one answer to all, and keeps what was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

# Status, headers and body.
Answer = tuple[int, dict[str, str], bytes]


class Listening(HTTPServer):
    """Somebody on a port, who keeps what is sent.

    Attributes:
        answer: to every request.
        heard: path and authorization of each request.
    """

    def __init__(self, host: str, answer: Answer) -> None:
        super().__init__((host, 0), Handler)
        self.answer = answer
        self.heard: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Listening

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.heard.append((self.path, self.headers.get("authorization", "")))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the library's names

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def listening(answer: Answer, host: str = "127.0.0.1") -> Iterator[Listening]:
    """Run a server in this process."""
    with Listening(host, answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
