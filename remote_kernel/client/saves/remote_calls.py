"""Calls of the program in one session's interpreter, as `core.wire.saves` has them on the wire."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.routes.route import Route, understood
from remote_kernel.client.saves.program import program_archive
from remote_kernel.client.saves.sending import send_content
from remote_kernel.core.errors import (
    PoolError,
    PoolRefused,
    RemoteKernelError,
    SaveError,
    SessionBusy,
    SessionLost,
)
from remote_kernel.core.wire import files
from remote_kernel.core.wire import saves as wire
from remote_kernel.core.wire.frames import CALLS_PATH, CANCEL_PATH, DEFAULT_KERNEL, DEFAULT_KERNELSPEC, EPOCH_MISMATCH
from remote_kernel.core.wire.saves import CallState, Order
from remote_kernel.io.tasks import start
from remote_kernel.io.threads import in_own_thread

# An interpreter that nobody has used so far may have to start.
READ_SECONDS = 100.0
# What a call has left is removed in passing.
TIDY_SECONDS = 10.0
# The user has interrupted it, or the kernel is about to end.
CANCEL_SECONDS = 1.0

MIN_SECONDS = 0.1

GONE = "The session was replaced meanwhile, and its variables are gone: '%session restore' brings back the newest save."
BUSY = "The session runs something else: try again when that is done."
OLD_AGENT = (
    "The agent in the session's pod is of an earlier version, which cannot save variables: make the pool's image with "
    "the version that is installed here, or take another session with '%session reset'."
)
ENDLESS = "The session does not come to an end with it: '%session interrupt' or a restart may help."

_NOT_KNOWN = "does not know this request"  # an agent that a kernel of an earlier version has brought along
_OF_SAVES = frozenset({wire.PROGRAM_MISSING, wire.CALL_MISSING, "NotPython", files.NOT_WRITABLE, "WrongKind"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInterpreter:
    """Interpreter of a session, as requests name it.

    Attributes:
        kernel: its name in the pod.
        epoch: of its life: another one has other variables.
        reader: who asks.
        pod: the pod's name; "" for whichever answers.
    """

    kernel: str = DEFAULT_KERNEL
    kernelspec: str = DEFAULT_KERNELSPEC
    epoch: str
    reader: str = ""
    pod: str = ""

    def params(self, **more: str) -> dict[str, str]:
        """Return the parameters of a request."""
        named = {"kernel": self.kernel, "kernelspec": self.kernelspec, "epoch": self.epoch, **more}
        return {**named, **({"reader": self.reader} if self.reader else {}), **({"pod": self.pod} if self.pod else {})}


def new_job() -> str:
    return secrets.token_hex(8)


class RemoteCalls:
    """Calls the program in an interpreter, and sends it before where it is missing.

    Args:
        files: of the interpreter's pod.
    """

    def __init__(self, route: Route, interpreter: PodInterpreter, files: PatientFiles) -> None:
        self._route = route
        self._interpreter = interpreter
        self._files = files
        self._ending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def job(self) -> AsyncIterator[str]:
        """Give the name of one call that writes files. Behind it they are removed, and what has not ended is ended.

        Who cancels it does not wait long for that.
        """
        job = new_job()
        try:
            yield job
        except asyncio.CancelledError:
            self._ending = start(self._tidy(job), "end of a save")
            await asyncio.wait({self._ending}, timeout=CANCEL_SECONDS)
            raise
        except BaseException:
            await self._tidy(job)
            raise
        await self._tidy(job)

    async def call(
        self, job: str, call: str, arguments: Mapping[str, Any], hear: Callable[[CallState], None], *,
        seconds: float, objects: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """Call the program, and return what it answers.

        Args:
            hear: is told how far it is.
            seconds: how long it may take.
            objects: the name of the folder with what was sent.

        Raises:
            SaveError: it has failed, or the session cannot do it.
            SessionBusy: it does something else, and has begun nothing.
            SessionLost: the interpreter is another one.
            PoolError.
        """
        name, archive = await in_own_thread(program_archive)
        order = json.dumps(
            Order(program=name, call=call, arguments=dict(arguments), objects=objects).to_json()
        ).encode()
        ends_at = time.monotonic() + seconds
        try:
            state = await self._request("POST", job, order)
        except _Missing:
            await send_content(self._files, f"{wire.SAVES_FOLDER}/{name}", archive)
            state = await self._request("POST", job, order)
        while not (state.is_done or state.is_busy):
            hear(state)
            if time.monotonic() > ends_at:
                raise SaveError(ENDLESS)
            asked_at = time.monotonic()
            state = await self._request("GET", job)
            # An agent of ours has waited before it answers.
            await asyncio.sleep(max(0.0, MIN_SECONDS - (time.monotonic() - asked_at)))
        hear(state)
        if state.is_busy:
            raise SessionBusy(BUSY)
        if state.problem:
            raise SaveError(state.problem)
        return state.answer

    async def _request(self, method: str, job: str, content: bytes = b"") -> CallState:
        return await self._files.patience.persist(lambda: self._ask(method, CALLS_PATH, job, content))

    async def _tidy(self, job: str) -> None:
        with contextlib.suppress(PoolError, SaveError, SessionLost, TimeoutError):
            async with asyncio.timeout(TIDY_SECONDS):
                await self._ask("POST", CANCEL_PATH, job, b"")

    async def _ask(self, method: str, path: str, job: str, content: bytes) -> CallState:
        params = self._interpreter.params(job=job)
        try:
            answer = await self._route.request(method, path, params=params, content=content, read_seconds=READ_SECONDS)
        except PoolRefused as error:
            raise _translate(error) from None
        return understood(CallState.from_json, answer)


class _Missing(SaveError):
    """The program is not in the session."""


def _translate(error: PoolRefused) -> RemoteKernelError:
    if error.code in (EPOCH_MISMATCH, files.POD_MISMATCH):
        return SessionLost(GONE)
    if error.code == wire.PROGRAM_MISSING:
        return _Missing(str(error))
    if error.code in (*_OF_SAVES, files.NO_AGENT):
        return SaveError(str(error))
    is_unknown = error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if is_unknown or (error.status == HTTPStatus.BAD_REQUEST and _NOT_KNOWN in str(error)):
        return SaveError(OLD_AGENT)
    return error
