"""Cells, run in a pod's built-in interpreter one execution each, and each once however often that is asked for."""

import asyncio
import base64
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from remote_kernel.client.executions import Executions
from remote_kernel.client.injection import Injection, Module
from remote_kernel.client.pool import PoolClient
from remote_kernel.client.retry import Backoff, is_passing
from remote_kernel.core.cooldown import parse_cooldown
from remote_kernel.core.errors import NoAnswer, PoolUnreachable, RemoteKernelError
from remote_kernel.core.interpreter_api import SYNC_LIMIT_SECONDS

# An execution that was ended before its end is asked about again; the interpreter may need a moment.
MAX_FAILURES = 3

# Of an answer's characters, what its length and the space behind it take at most.
LENGTH_CHARS = 20


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


class Cells:
    """Speaks with `remote_kernel.injected.cell` in the interpreter of the client's identifier.

    Attributes:
        reader: how the interpreter tells who speaks from others.
    """

    def __init__(self, pool: PoolClient) -> None:
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
        cooldown_seconds = parse_cooldown(answer["cooldown"])
        return Found(
            epoch=answer["epoch"],
            info=answer["kernel_info"],
            cooldown_seconds=cooldown_seconds,
            others=sum(isinstance(age, float) and age < cooldown_seconds for age in answer.get("others", ())),
        )

    async def run(self, epoch: str, code: str, *, is_silent: bool) -> dict[str, Any]:
        """Run the code of a cell; return its `count`, what it has `shown` and perhaps an `error`.

        Raises:
            Lost: the interpreter is not `epoch`; the cell was not run.
        """
        return await self._insist({"epoch": epoch, "cell": _unique(), "code": code, "is_silent": is_silent})

    async def ask(self, epoch: str, method: str, arguments: Sequence[object]) -> dict[str, Any]:
        """Call a method of the interpreter's kernel and return the content that it returns; raises `Lost`."""
        answer = await self._insist({"epoch": epoch, "cell": _unique(), "question": method, "arguments": arguments})
        content: dict[str, Any] = answer["content"]
        return content

    async def _insist(self, what: Mapping[str, object]) -> dict[str, Any]:
        """Have the interpreter do something, however often that has to be asked for; it does it once."""
        backoff = Backoff()
        failures = 0
        while True:
            try:
                answer = await self._ask(what)
            except RemoteKernelError as error:
                failures += isinstance(error, NoAnswer)
                if is_passing(error) and failures < MAX_FAILURES:
                    await asyncio.sleep(backoff.next(error))
                    continue
                return _unknown(str(error))
            if answer["status"] == "lost":
                raise Lost
            return _unknown("") if answer["status"] == "unknown" else answer

    async def _ask(self, what: Mapping[str, object]) -> dict[str, Any]:
        """Run the injection for one cell, in as many executions as its answer takes."""
        text = ""
        while True:
            make = partial(_injection, {**what, "reader": self.reader}, len(text))
            part = await self._executions.run(make, seconds=SYNC_LIMIT_SECONDS)
            length, _, data = part.partition(" ")
            text += data
            if len(text) >= int(length) or not data:
                return _unpack(text)


def _injection(what: Mapping[str, object], start: int, max_chars: int) -> Injection:
    return Injection.make(Module.CELL, {**what, "start": start, "length": max_chars - LENGTH_CHARS})


def _unique() -> str:
    """Return a name that no other cell has, as the `msg_id` of a front end might."""
    return secrets.token_hex(8)


def _unknown(reason: str) -> dict[str, Any]:
    reason = reason or f"it was ended before its end, perhaps after {SYNC_LIMIT_SECONDS:g} s"
    evalue = f"What became of the cell is not known: {reason}"
    error = {"ename": "CellEnded", "evalue": evalue, "traceback": [f"CellEnded: {evalue}"]}
    return {"status": "done", "shown": [("error", error)], "content": {"status": "error", **error}}


def _unpack(text: str) -> dict[str, Any]:
    try:
        value = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, zlib.error, RecursionError) as error:
        raise PoolUnreachable("The session's interpreter sent something unreadable.") from error
    if not isinstance(value, dict) or "status" not in value:
        raise PoolUnreachable("The session's interpreter sent something unreadable.")
    return value
