"""A pod without kernels: a real server that shows what the pool passes on. Run as `stand_in_pod.py SOCKET`."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class StandIn:
    """Paths: what they do is the name of the method."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.received = asyncio.Condition()
        self.received_bytes = 0
        self.hanging = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        action = getattr(self, scope["path"].strip("/").split("/")[0], self.show)
        await action(scope, receive, send)

    async def show(self, scope: Message, receive: Receive, send: Send) -> None:
        """Say what arrived."""
        body = b"".join([piece async for piece in read(receive)])
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        shown = {
            "pid": os.getpid(),
            "method": scope["method"],
            "target": target.decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "size": len(body),
            "digest": hashlib.sha256(body).hexdigest(),
            "environ": dict(os.environ),
        }
        await answer(send, json.dumps(shown).encode(), [(b"x-shown", b"yes"), (b"keep-alive", b"timeout=9")])

    async def data(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send as many bytes as the last part of the path says."""
        await answer(send, b"x" * int(scope["path"].rpartition("/")[2]))

    async def two_pieces(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send one piece, and the other one after `release` was called."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.released.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async def release(self, scope: Message, receive: Receive, send: Send) -> None:
        self.released.set()
        await answer(send, b"")

    async def upload(self, scope: Message, receive: Receive, send: Send) -> None:
        async for piece in read(receive):
            async with self.received:
                self.received_bytes += len(piece)
                self.received.notify_all()
        await answer(send, b"")

    async def wait_uploaded(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer when an upload has brought as many bytes as the last part of the path says."""
        wanted = int(scope["path"].rpartition("/")[2])
        async with self.received:
            await self.received.wait_for(lambda: self.received_bytes >= wanted)
        await answer(send, str(self.received_bytes).encode())

    async def hang(self, scope: Message, receive: Receive, send: Send) -> None:
        """Begin an answer, unless the path says not to, and wait for the client to go."""
        self.hanging.set()
        if not scope["path"].endswith("/silently"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    async def wait_hanging(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.hanging.wait()
        await answer(send, b"")

    async def wait_disconnected(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer when a client of `hang` has gone."""
        await self.disconnected.wait()
        await answer(send, b"")

    async def die(self, scope: Message, receive: Receive, send: Send) -> None:
        """End the process: before the answer, or within one that announced its length or did not."""
        headers = [(b"content-length", b"100")] if scope["path"].endswith("/sized") else []
        if not scope["path"].endswith("/silently"):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        os.kill(os.getpid(), signal.SIGKILL)

    async def refuse_connections(self, scope: Message, receive: Receive, send: Send) -> None:
        """Live on without a socket."""
        Path(sys.argv[1]).unlink()  # noqa: ASYNC240
        await answer(send, b"")


async def read(receive: Receive) -> Any:
    more_body = True
    while more_body:
        message = await receive()
        more_body = message.get("more_body", False)
        yield message.get("body", b"")


async def answer(send: Send, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print('some other line\n{"ready": true}', flush=True)


async def main() -> None:
    app = StandIn()
    config = uvicorn.Config(app, uds=sys.argv[1], log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
    await Server(config).serve()


def leave_with_the_pool() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=leave_with_the_pool, daemon=True).start()
asyncio.run(main())
