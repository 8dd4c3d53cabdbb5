"""A front end as a link sees it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link import events
from remote_kernel.client.link.link import Link
from remote_kernel.client.retry import Wait
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.wire import frames as wire
from tests.driver import TIMEOUT_SECONDS


class FrontEnd:
    """Listens to a link and remembers what it heard."""

    def __init__(self) -> None:
        self.hellos: list[wire.Hello] = []
        self.messages: list[wire.Message] = []
        self.waits: list[Wait] = []
        self.deliveries = 0
        self.peers: list[int] = []
        self.refusals: list[tuple[wire.Message, RemoteKernelError]] = []
        self.errors: list[RemoteKernelError] = []
        self.gaps: list[wire.Gap] = []
        self.files: list[wire.Files] = []
        self._wakeups = asyncio.Event()

    async def take(self, event: events.Event) -> None:
        match event:
            case events.Attached(hello):
                self.hellos.append(hello)
            case events.Received(message):
                self.messages.append(message)
            case events.Dropped(gap):
                self.gaps.append(gap)
            case events.Joined(peers):
                self.peers.append(peers)
            case events.FilesChanged(files):
                self.files.append(files)
            case events.Waiting(wait):
                self.waits.append(wait)
            case events.Delivered():
                self.deliveries += 1
            case events.Refused(message, error):
                self.refusals.append((message, error))
            case events.Failed(error) | events.Lost(error):
                self.errors.append(error)
        self._wakeups.set()

    def reply_to(self, request: wire.Message) -> wire.Message | None:
        msg_id = parse_header(request.parts[0]).msg_id
        replies = [
            m for m in self.messages if m.channel is wire.Channel.SHELL and parse_header(m.parts[1]).msg_id == msg_id
        ]
        assert len(replies) <= 1, "a reply came twice"
        return replies[0] if replies else None

    def has_finished(self, request: wire.Message) -> bool:
        """Whether all that a request says on iopub has come."""
        msg_id = parse_header(request.parts[0]).msg_id
        return any(b'"idle"' in m.parts[3] and parse_header(m.parts[1]).msg_id == msg_id for m in self.messages)

    def printed(self) -> str:
        contents = [parse_object(m.parts[3]) for m in self.messages if parse_header(m.parts[0]).msg_type == "stream"]
        return "".join(content["text"] for content in contents)

    async def wait(self, is_true: object) -> None:
        """Wait until `is_true()`, looking again whenever something was heard."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not is_true():  # type: ignore[operator]
                self._wakeups.clear()
                await self._wakeups.wait()


async def run(link: Link, front_end: FrontEnd, code: str) -> wire.Message:
    """Run a cell to its end, the `idle` behind its reply, and return the reply."""
    request = execute(code)
    link.send(request)
    await front_end.wait(lambda: front_end.reply_to(request) and front_end.has_finished(request))
    reply = front_end.reply_to(request)
    assert reply is not None
    return reply


def execute(code: str) -> wire.Message:
    content = {"code": code, "silent": False, "store_history": True, "stop_on_error": True}
    parts = Author(uuid.uuid4().hex).write("execute_request", content, date=datetime.now(UTC))
    return wire.Message(channel=wire.Channel.SHELL, parts=parts)


@asynccontextmanager
async def followed(link: Link, *ways: Route | PoolClient) -> AsyncIterator[None]:
    """Run a link while the block does, and close what it took."""
    running = asyncio.create_task(link.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for way in ways:
            await way.aclose()
