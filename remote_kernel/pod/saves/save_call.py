"""One call of the program: in the interpreter, and then in the process that it has left at work."""

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import SAVE_CALL
from remote_kernel.core.wire import saves as wire
from remote_kernel.core.wire.saves import CallProgress, Order
from remote_kernel.io.tasks import start
from remote_kernel.pod.interpreters.programs import value_of_main
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.silent_calls import CallFailed, InterpreterBusy
from remote_kernel.pod.saves import calling
from remote_kernel.pod.saves.job_files import JobFiles, is_at_work

# What the program's package is called, so that it meets no other version of this one.
PACKAGE = "_remote_kernel_namespace"

# How often the files of a process at work are looked at.
LOOK_SECONDS = 0.1

# Progress is told this often at most; the end at once.
TELL_SECONDS = 0.5

# How long code that was interrupted may take to end.
ENDING_SECONDS = 5.0

# Of an answer's JSON; what stands around it on its way has room as well.
MAX_ANSWER_BYTES = 3 * (SAVE_CALL.bytes or 0) // 4

CHILD_ENDED = (
    "The process in the session that saved the variables ended before it was done: there was too little memory, or no "
    "room on the disk."
)
NO_ANSWER = "The program in the session has answered something else than it should."
GIVEN_UP = "It was given up."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of a call: an answer or a problem, or that nothing was begun."""

    answer: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    is_busy: bool = False


class SaveCall:
    """A call, which begins at once.

    Args:
        epoch: of the interpreter that is called.
        archive: the program.

    Attributes:
        kernel: whose interpreter it is.
        answer: what the program has answered in the interpreter, which may have left a process at work; {} before that.
        asked_at: when somebody has asked about it, in monotonic seconds.
    """

    def __init__(self, kernel: PodKernel, epoch: str, order: Order, files: JobFiles, archive: Path) -> None:
        self.kernel = kernel
        self.answer: dict[str, Any] = {}
        self.asked_at = time.monotonic()
        self._epoch = epoch
        self._order = order
        self._files = files
        self._archive = archive
        self._pid = 0
        self._is_given_up = False
        self._task = start(self._run(), "saves")

    @property
    def is_done(self) -> bool:
        return self._task.done()

    async def wait(self) -> Outcome | None:
        """Return what has become of it, after a moment: when it has ended, or has something new to tell."""
        self.asked_at = begun_at = time.monotonic()
        before, answer = await self.progress(), self.answer
        while not self.is_done and (passed := time.monotonic() - begun_at) < wire.WAIT_SECONDS:
            await asyncio.wait({self._task}, timeout=LOOK_SECONDS)
            if self.answer is not answer or (passed > TELL_SECONDS and await self.progress() != before):
                break
        return self._task.result() if self.is_done else None

    async def progress(self) -> CallProgress:
        """Return how far it is."""
        return await asyncio.to_thread(self._files.read_progress)

    async def end(self) -> None:
        """End it, whatever it is at, and remove its files."""
        self._is_given_up = True
        if not self.is_done:
            await asyncio.to_thread(self._files.remove)  # by which one that waits in the interpreter's queue ends
            await self.kernel.silent_calls.interrupt()
            self._kill()
            await asyncio.wait({self._task}, timeout=ENDING_SECONDS)
        await asyncio.to_thread(self._files.remove)

    def _kill(self) -> None:
        """End the process that was left at work, with all that it has started: it leads a group, or is about to."""
        for end in (os.killpg, os.kill) if self._pid else ():
            with contextlib.suppress(OSError):
                end(self._pid, signal.SIGKILL)

    async def _run(self) -> Outcome:
        try:
            self.answer = answer = await self._call()
            if self._pid:
                await self._follow()
        except InterpreterBusy:
            return Outcome(is_busy=True)
        except RemoteKernelError as error:
            return Outcome(problem=GIVEN_UP if self._is_given_up else str(error))
        progress = await self.progress()
        if progress.state == "failed":
            return Outcome(answer=answer, problem=progress.problem or "The session does not say why.")
        if not answer.get("conflicts"):
            await asyncio.to_thread(self._files.remove_objects)
        return Outcome(answer=answer)

    async def _call(self) -> dict[str, Any]:
        """Return what the program answers in the interpreter; raises `CallFailed`, and as `evaluate` does."""
        paths = {"folder": str(self._files.folder)} if self._files.is_wanted else {}
        paths |= {"objects": str(self._files.objects)} if self._files.objects else {}
        expression = value_of_main(
            calling,
            {
                "package": PACKAGE,
                "archive": str(self._archive),
                "folder": str(self._files.folder) if self._files.is_wanted else "",
                "answer_bytes": MAX_ANSWER_BYTES,
                "call": self._order.call,
                "arguments": {**self._order.arguments, **paths},
            },
        )
        if self._order.call == "restore":
            self.kernel.note_change()
        told = _parse(await self.kernel.silent_calls.evaluate(expression, self._epoch))
        answer = told.get("answer")
        answer = answer if isinstance(answer, dict) else {"problem": told.get("problem", NO_ANSWER)}
        if problem := answer.get("problem"):
            raise CallFailed(str(problem))
        pid = answer.get("pid")
        self._pid = pid if type(pid) is int and pid > 1 else 0
        return answer

    async def _follow(self) -> None:
        """Return when the process has done its work; raises `CallFailed` where it ended before."""
        while (await self.progress()).state not in ("done", "failed"):
            if self._is_given_up:
                self._kill()
                raise CallFailed(GIVEN_UP)
            if self.kernel.epoch != self._epoch:
                raise CallFailed("The interpreter ended meanwhile, and its variables are gone.")
            if not is_at_work(self._pid) and (await self.progress()).state not in ("done", "failed"):
                raise CallFailed(CHILD_ENDED)
            await asyncio.sleep(LOOK_SECONDS)


def _parse(text: str) -> dict[str, Any]:
    try:
        return parse_json_object(text.encode("utf-8", "surrogatepass"), SAVE_CALL)
    except WireError:
        raise CallFailed("The program in the session has answered something that cannot be read.") from None
