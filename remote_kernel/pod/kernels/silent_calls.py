"""Calls of the agent's own into a kernel's interpreter, between the cells, of which no reader hears."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Author, parse_type
from remote_kernel.core.wire.frames import Channel
from remote_kernel.pod.interpreters.silent_code import SilentCode
from remote_kernel.pod.kernels.lifecycle import Lifecycle
from remote_kernel.pod.kernels.lives import Lives
from remote_kernel.pod.packages.program import NotPython

# A restore of gigabytes takes minutes; who waits for it ends it before that.
PATIENCE_SECONDS = 3600.0

# What the kernel says on iopub for itself, and not for code that it runs.
_OF_THE_CALL = frozenset({"status", "execute_input"})

_NAME = "value"


class InterpreterBusy(RemoteKernelError):
    """The interpreter does something else, so that nothing was begun."""


class CallFailed(RemoteKernelError):
    """The interpreter has not done what it was called for."""


class SilentCalls:
    """Calls into the interpreters of one kernel, one at a time.

    Args:
        is_busy: tells whether cells are not done.
        on_end: called when a call has ended.
    """

    def __init__(
        self, lives: Lives, lifecycle: Lifecycle, *, is_busy: Callable[[], bool], on_end: Callable[[], None]
    ) -> None:
        self._lives = lives
        self._lifecycle = lifecycle
        self._is_busy = is_busy
        self._on_end = on_end
        session = f"agent-calls-{secrets.token_hex(8)}"
        self._author = Author(session)
        self._mark = session.encode()
        self._cell = b""
        self._running: SilentCode | None = None

    @property
    def is_running(self) -> bool:
        """Return whether the interpreter has been called, and has not answered."""
        return self._running is not None

    def note_cell(self, header: bytes) -> None:
        """Note that the interpreter gets a cell, of which threads may go on when it has ended."""
        self._cell = header

    def withhold(self, channel: Channel, parts: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
        """Take what belongs to a call from what the kernel says; return what readers get in its place.

        That is nothing, but for what threads say: ipykernel takes it for something of the request that came last. It
        is handed on as of the last cell's.

        Raises:
            WireError: a part of it cannot be read.
        """
        if self._mark not in parts[1]:
            return parts
        if self._running is not None:
            self._running.receive(channel, parts)
        is_said = channel is Channel.IOPUB and parse_type(parts[0]) not in _OF_THE_CALL
        return (parts[0], self._cell, *parts[2:]) if is_said and self._cell else None

    async def check(self, epoch: str) -> None:
        """Return if the interpreter of this epoch can be called now, which is started if need be.

        Raises:
            EpochMismatch: it is gone.
            NotPython: it is one of another language.
            InterpreterBusy.
            UnknownKernel, StartFailed: see `Lifecycle.interpreter`.
        """
        self._lives.check(epoch)
        interpreter = await self._lifecycle.interpreter()
        await self._lifecycle.wait_others()
        self._lives.check(epoch)
        if not interpreter.is_python:
            raise NotPython(
                f"The kernel {interpreter.kernelspec!r} is not one of Python's: variables can be saved of those."
            )
        if self._is_busy() or self._running is not None:
            raise InterpreterBusy("The session runs something else.")

    async def evaluate(self, expression: str, epoch: str) -> str:
        """Have the interpreter of this epoch evaluate an expression behind an empty cell; return its value as text.

        No hook of IPython's runs before or behind it, and nothing of the history is touched.

        Raises:
            CallFailed: it has ended meanwhile, or the expression has failed.
            EpochMismatch, InterpreterBusy: nothing was begun.
        """
        self._lives.check(epoch)
        interpreter = self._lifecycle.current
        if interpreter is None or self._is_busy() or self._running is not None:
            raise InterpreterBusy("The session runs something else.")
        self._running = code = SilentCode(
            interpreter.channels.send, self._author, interpreter.exited, patience_seconds=PATIENCE_SECONDS
        )
        try:
            reply = await code.run("", interrupt=interpreter.interrupt, expressions={_NAME: expression})
        finally:
            self._running = None
            self._on_end()
        if reply is None:
            raise CallFailed("The interpreter ended meanwhile, and its variables are gone.")
        return value_in(reply)

    async def interrupt(self) -> None:
        interpreter = self._lifecycle.current
        if interpreter is not None and self._running is not None and self._running.has_begun:
            await interpreter.interrupt()


def value_in(reply: Mapping[str, Any]) -> str:
    """Return the text of an expression's value.

    Raises:
        CallFailed: there is none.
        InterpreterBusy: the kernel drops what it is asked for, as it does behind a cell that has failed.
    """
    if reply.get("status") in ("abort", "aborted"):
        raise InterpreterBusy("The session drops what is behind a cell that has failed.")
    try:
        value = reply["user_expressions"][_NAME]
        if value["status"] == "ok":
            return str(value["data"]["text/plain"])
        why = str(value["ename"])
    except (KeyError, TypeError):
        raise CallFailed("The interpreter does not evaluate what it is asked to: it is none of IPython's.") from None
    raise CallFailed("It was interrupted." if why == "KeyboardInterrupt" else f"The interpreter has failed: {why}.")
