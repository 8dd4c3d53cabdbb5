"""Cells, run in a pod's built-in interpreter one execution each, and each once however often that is asked for."""

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.executions import Executions, has_session
from remote_kernel.client.interpreter.injection import Injection, Module
from remote_kernel.client.retry import Budget, Retry, is_fault
from remote_kernel.core.errors import (
    NoAnswer,
    PoolError,
    PoolFull,
    PoolUnreachable,
    RemoteKernelError,
    WireError,
)
from remote_kernel.core.interpreter_api.versions import SYNC_LIMIT_SECONDS
from remote_kernel.core.json_text import parse_unpacked_object
from remote_kernel.core.limits import CELL
from remote_kernel.core.numbers import COUNT, EPOCH
from remote_kernel.core.pools.cooldown import parse_cooldown
from remote_kernel.core.wire.compression import INLINE_BYTES, inflate

# What a cell may show, as front ends know it.
_SHOWN = frozenset({"stream", "display_data", "update_display_data", "execute_result", "clear_output", "error"})

_SHUT_OUT = (
    "for longer than a cell may take, the session pool has let nobody in, and has not said whether the session is "
    "still there ({error}). The next cell looks for it, and tells if it is lost; '%session reset' takes another one."
)

UNREADABLE = "The session's interpreter sent something unreadable."

# Of an answer's characters, what its length and the space behind it take at most.
LENGTH_CHARS = 20


class Unreadable(PoolUnreachable):
    """The interpreter's answer is none that our code in it gives."""

    def __init__(self, message: str = UNREADABLE) -> None:
        super().__init__(message)


class Lost(Exception):
    """The interpreter is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An interpreter.

    Attributes:
        epoch: the name of its life.
        info: its `kernel_info`.
        cooldown_seconds: how long the pool keeps it without a call.
        others: how many have used it within that time: where a leaver asks, the others.
    """

    epoch: str
    info: dict[str, Any]
    cooldown_seconds: float
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Outcome of a cell.

    Attributes:
        count: its number.
        shown: pairs of a message type and its content, in order.
    """

    count: int
    shown: list[tuple[str, dict[str, Any]]]

    @property
    def error(self) -> dict[str, Any] | None:
        """The content of the last error that it has shown."""
        return next((content for msg_type, content in reversed(self.shown) if msg_type == "error"), None)


class Cells:
    """Speaks with `remote_kernel.injected.cell` in the interpreter of the client's identifier.

    Args:
        limit_seconds: how long the pool lets a cell run: what it answers for longer has nothing to do with one.

    Attributes:
        reader: how the interpreter tells who speaks from others.
    """

    def __init__(self, pool: PoolClient, limit_seconds: float = SYNC_LIMIT_SECONDS) -> None:
        # An execution that was ended before its end is asked about again; the interpreter may need a moment.
        self._budget = Budget(
            full_seconds=limit_seconds, fault_seconds=limit_seconds, max_counted=3, counted=(NoAnswer, Unreadable)
        )
        self._pool = pool
        self._executions = Executions(pool)
        self.reader = ""

    async def find(self, epoch: str, *, leaver: str | None = None) -> Found:
        """Return the interpreter, which takes an execution and so keeps it warm.

        Args:
            epoch: the name that it should have; "" for any.
            leaver: a reader that will not come back; `None` for nobody.

        Raises:
            Lost: it has another one.
            RemoteKernelError: as `Executions.run`.
        """
        leaving = {} if leaver is None else {"leaver": leaver}
        answer = await self._ask({"epoch": epoch, "cell": _unique(), **leaving})
        if answer["status"] == "lost":
            raise Lost
        with _readable():
            cooldown_seconds = parse_cooldown(str(answer["cooldown"]))
            others = _list(answer.get("others", []))
            return Found(
                epoch=EPOCH.check(answer["epoch"], "an epoch"),
                info=_object(answer["kernel_info"]),
                cooldown_seconds=cooldown_seconds,
                others=sum(isinstance(age, float) and age < cooldown_seconds for age in others),
            )

    async def run(self, epoch: str, code: str, *, is_silent: bool) -> Ran:
        """Run the code of a cell; return its number and what it has shown.

        Raises:
            Lost: the interpreter is not `epoch`; the cell was not run.
        """
        answer = await self._insist({"epoch": epoch, "cell": _unique(), "code": code, "is_silent": is_silent})
        with _readable():
            return Ran(
                count=int(COUNT.check(answer.get("count", 0), "a cell's number")),
                shown=[_parse_shown(each) for each in _list(answer.get("shown", []))],
            )

    async def ask(self, epoch: str, method: str, arguments: Sequence[object]) -> dict[str, Any]:
        """Call a method of the interpreter's kernel and return the content that it returns; raises `Lost`."""
        answer = await self._insist({"epoch": epoch, "cell": _unique(), "question": method, "arguments": arguments})
        with _readable():
            return _object(answer["content"])

    async def _insist(self, what: Mapping[str, object]) -> dict[str, Any]:
        """Have the interpreter do something, however often that has to be asked for; it does it once."""
        retry = Retry()
        while True:
            try:
                answer = await self._ask(what)
            except RemoteKernelError as error:
                is_let_in = not (isinstance(error, PoolFull) or is_fault(error))
                if not is_let_in and await self._is_gone():
                    raise Lost from None
                wait = retry.next_wait(error, time.monotonic(), self._budget)
                if wait is None:
                    return _unknown(str(error) if is_let_in else _SHUT_OUT.format(error=str(error).rstrip(".")))
                await asyncio.sleep(wait)
                continue
            if answer["status"] == "lost":
                raise Lost
            return _unknown("") if answer["status"] == "unknown" else answer

    async def _is_gone(self) -> bool:
        """Return whether the pool says that it has no session; one that cannot tell has not said so."""
        try:
            return not await has_session(self._pool)
        except PoolError:
            return False

    async def _ask(self, what: Mapping[str, object]) -> dict[str, Any]:
        """Run the injection for one cell, in as many executions as its answer takes."""
        text = ""
        while True:
            make = partial(_injection, {**what, "reader": self.reader}, len(text))
            part = await self._executions.run(make, seconds=SYNC_LIMIT_SECONDS)
            length, _, data = part.partition(" ")
            text += data
            if len(text) > (CELL.bytes or 0):
                raise Unreadable("The session's interpreter sent more than a cell may show.")
            if len(text) >= _parse_length(length) or not data:
                return await asyncio.to_thread(_unpack, text) if len(text) > INLINE_BYTES else _unpack(text)


def _injection(what: Mapping[str, object], start: int, max_chars: int) -> Injection:
    bounds = {"max_bytes": CELL.unpacked_bytes, "max_packed": CELL.bytes}
    return Injection.make(Module.CELL, {**what, **bounds, "start": start, "length": max_chars - LENGTH_CHARS})


def _unique() -> str:
    """Return a name that no other cell has, as the `msg_id` of a front end might."""
    return secrets.token_hex(8)


def _unknown(reason: str) -> dict[str, Any]:
    reason = reason or f"it was ended before its end, perhaps after {SYNC_LIMIT_SECONDS:g} s"
    evalue = f"What became of the cell is not known: {reason}"
    error = {"ename": "CellEnded", "evalue": evalue, "traceback": [f"CellEnded: {evalue}"]}
    return {"status": "done", "shown": [["error", error]], "content": {"status": "error", **error}}


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turn what is not as it should be in an answer into an error of the session's."""
    try:
        yield
    except (WireError, KeyError) as error:
        raise Unreadable from error


def _parse_length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Unreadable
    return int(text)


def _unpack(text: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(text, validate=True)
        value = parse_unpacked_object(inflate(data, max_bytes=CELL.unpacked_bytes or 0, name="an answer"), CELL)
    except (ValueError, WireError) as error:
        raise Unreadable from error
    if not isinstance(value.get("status"), str):
        raise Unreadable
    return value


def _parse_shown(value: object) -> tuple[str, dict[str, Any]]:
    """Return type and content of something that a cell has shown; raises `WireError`."""
    match value:
        case [str(msg_type), dict(content)] if msg_type in _SHOWN:
            return msg_type, _checked_error(content) if msg_type == "error" else content
        case _:
            raise WireError("a cell shows what no cell can")


def _checked_error(content: dict[str, Any]) -> dict[str, Any]:
    trace = [line for line in _list(content.get("traceback")) if isinstance(line, str)]
    return {"ename": str(content.get("ename", "")), "evalue": str(content.get("evalue", "")), "traceback": trace}


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WireError("what should be an object is none")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise WireError("what should be a list is none")
    return value
