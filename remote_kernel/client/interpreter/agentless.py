"""Route to a pod that can have no agent: cells run in its built-in interpreter, one execution each.

This side speaks for the agent that is not there. What a cell shows comes when it ends; everything that needs a
conversation with a running cell is missing, and the first cell says so.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.agentless_kernel import NO_AGENT, AgentlessKernel
from remote_kernel.client.interpreter.bridged_requests import session_gone
from remote_kernel.client.interpreter.cells import Cells, Lost
from remote_kernel.client.interpreter.executions import NOTHING_TO_RELEASE, check_session, has_session, stop_session
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.interpreter_api.versions import SESSION_PATH, SYNC_LIMIT_SECONDS
from remote_kernel.core.jupyter.messages import parse_header
from remote_kernel.core.pools import front_door
from remote_kernel.core.wire import codec, files
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import PACKAGES_PATH, Message

MISSING = """\
[This pool's sessions can have no agent ({reason}), so cells run one by one in their built-in interpreter, \
for {limit:g} s at most, and show their output at the end. There is no input(), interrupt, widgets, debugger or \
display that changes while a cell runs; output is lost when the kernel ends meanwhile; a restart takes a new session.]
"""


class AgentlessRoute:
    """A `Route` to a pod without an agent.

    Args:
        reason: why it can have none.
    """

    stale_seconds = wire.STALE_SECONDS
    piece_bytes = 1024 * 1024
    should_compress = False

    def __init__(self, pool: PoolClient, reason: str) -> None:
        self._pool = pool
        self._cells = Cells(pool)
        self._notice = MISSING.format(reason=reason.rstrip("."), limit=SYNC_LIMIT_SECONDS)
        self._accepted: dict[str, int] = {}
        self._kernel: AgentlessKernel | None = None

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        match path:
            case wire.MESSAGES_PATH:
                return await self._accept(params or {}, codec.decode_all(content))
            case wire.RELEASE_PATH:
                return await self._release(params or {})
            case wire.STOP_SESSION_PATH:
                await stop_session(self._pool)
                return {}
            case front_door.GET_SESSION_PATH:
                return await check_session(self._pool)
            case wire.SESSION_PATH:
                await self._call()
                return {"kernels": [{"epoch": self._kernel.epoch}] if self._kernel else []}
        raise _needs_agent(_name(path))

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator["Events"]:  # fmt: skip
        if path != wire.EVENTS_PATH:
            raise _needs_agent(_name(path))
        params = params or {}
        _check_target(params)
        epoch, after = params.get("epoch", ""), int(params.get("after", 0))
        self._cells.reader = params.get("reader", "")
        kernel = await self._attach(epoch, after)
        yield Events(kernel, after if epoch else None)

    def drop_idle(self) -> None:
        self._pool.drop_idle()

    async def aclose(self) -> None:
        """Stop listening; a cell that runs goes on, and nobody hears of it. The pool's client is its owner's."""
        if self._kernel is not None:
            await self._kernel.aclose()

    async def _call(self) -> None:
        """Keep the interpreter from cooling down: pools count executions only, and those of cells do as well."""
        kernel = self._kernel
        if kernel is None or kernel.is_over or kernel.is_working:
            await self._pool.request("GET", SESSION_PATH)
            return
        try:
            await self._cells.find(kernel.epoch)
        except Lost:
            kernel.end()

    async def _attach(self, epoch: str, after: int) -> AgentlessKernel:
        """Return the kernel that lives under the name `epoch`, or any; raises `PoolError`."""
        known = self._kernel
        if known is not None and not known.is_over and epoch in ("", known.epoch):
            return known
        try:
            found = await self._cells.find(epoch)
        except Lost:
            raise session_gone() from None
        notice = self._notice if known is None else known.notice
        self._kernel = AgentlessKernel(self._cells, found, first=after + 1, notice=notice)
        return self._kernel

    async def _accept(self, params: Mapping[str, str], frames: list[wire.Frame]) -> dict[str, Any]:
        # A process that has only a last word to say comes without having followed.
        kernel = await self._attach(params.get("epoch", ""), 0)
        self._cells.reader = params.get("reader", "")
        sender, accepted = params.get("sender", ""), 0
        for message in frames:
            if isinstance(message, Message) and message.sequence > self._accepted.get(sender, 0):
                self._accepted[sender] = message.sequence
                accepted += 1
                await self._take(kernel, message)
        return {"accepted": accepted, "kernels": 0 if kernel.is_over else 1}

    async def _take(self, kernel: AgentlessKernel, message: Message) -> None:
        header = parse_header(message.parts[0])
        if header.msg_type == "shutdown_request":
            await self._shut_down(kernel)
        else:
            kernel.accept(message, header)

    async def _release(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Give the session back if it is the one that was known, and nobody else has just used it.

        The interpreter remembers its users. There is nothing between asking it and stopping it that could turn others
        away, as an agent does.
        """
        if not await has_session(self._pool):
            return dict(NOTHING_TO_RELEASE)
        kernel, is_order = self._kernel, params.get("order", "") == "1"
        others = 0
        if kernel is None or not kernel.is_working:  # else it would answer at the end of its cell, which is ours
            try:
                others = (await self._cells.find(params.get("epoch", ""), leaver=params.get("reader", ""))).others
            except Lost:
                return {"stops": False, "others": 0, "kernels": 1}
        is_left = others > 0 and not is_order
        if kernel is not None and not is_left:
            kernel.end()
        return {"stops": not is_left, "others": others, "kernels": int(is_left)}

    async def _shut_down(self, kernel: AgentlessKernel) -> None:
        """Give the session back: there is no other way to a fresh interpreter."""
        try:
            if not kernel.is_working:  # else it would answer at the end of its cell
                await self._cells.find(kernel.epoch)
        except Lost:
            raise session_gone() from None
        await stop_session(self._pool)
        kernel.end()


class Events:
    """An open stream, a `Body`."""

    def __init__(self, kernel: AgentlessKernel, after: int | None) -> None:
        self._kernel = kernel
        self._after = after

    def chunks(self) -> AsyncIterator[bytes]:
        return self._kernel.events(self._after)


def _check_target(params: Mapping[str, str]) -> None:
    """Refuse what one built-in interpreter cannot be."""
    if params.get("kernel", wire.DEFAULT_KERNEL) != wire.DEFAULT_KERNEL:
        raise _needs_agent("an interpreter of one's own (scope 'project', or REMOTE_KERNEL_FRESH)")
    if params.get("kernelspec", wire.DEFAULT_KERNELSPEC) != wire.DEFAULT_KERNELSPEC:
        raise _needs_agent("another kernel than its own (REMOTE_KERNEL_POD_KERNEL)")


def _name(path: str) -> str:
    if path == PACKAGES_PATH:
        return "installing packages that were sent"
    if path in (wire.CALLS_PATH, wire.CANCEL_PATH):
        return "saving variables"
    return "moving files" if path.startswith(files.FILES_PATH) else "this"


def _needs_agent(what: str) -> PoolRefused:
    return PoolRefused(NO_AGENT.format(what=what), status=HTTPStatus.NOT_IMPLEMENTED, code=files.NO_AGENT)
