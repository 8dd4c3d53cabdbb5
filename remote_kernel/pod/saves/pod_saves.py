"""Calls of the program in the interpreters of one pod."""

import asyncio
import time

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire.saves import SAVES_FOLDER, CallProgress, CallState, Order
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.silent_calls import InterpreterBusy
from remote_kernel.pod.saves.job_files import JobFiles
from remote_kernel.pod.saves.save_call import GIVEN_UP, Outcome, SaveCall

# A client asks all the time. One that has not for so long was killed, or cut off for good: another may save instead,
# and later what is left of it goes.
LEFT_SECONDS = 60.0
FORGOTTEN_SECONDS = 900.0


class ProgramMissing(RemoteKernelError):
    """The program was not sent, or was removed."""


class CallMissing(RemoteKernelError):
    """There is no such call, or no longer."""


class PodSaves:
    """Calls of one pod, by the names that clients have made up.

    Args:
        folder: the data folder.
        pod: its name.
    """

    def __init__(self, folder: DataFolder, pod: str) -> None:
        self._folder = folder
        self._pod = pod
        self._calls: dict[str, SaveCall] = {}
        self._lock = asyncio.Lock()

    async def begin(self, kernel: PodKernel, epoch: str, job: str, order: Order) -> CallState:
        """Return how far a call is, after a moment; one that is new is begun.

        Raises:
            ProgramMissing, NotWritable.
            EpochMismatch, NotPython, UnknownKernel, StartFailed: see `SilentCalls.check`.
        """
        try:
            await self._ensure(kernel, epoch, job, order)
        except InterpreterBusy:
            return self._state(Outcome(is_busy=True))
        state = await self.look(job)
        if state.is_busy:
            await self.cancel(job)
        return state

    async def look(self, job: str) -> CallState:
        """Return how far a call is, after a moment; raises `CallMissing`."""
        call = self._get(job)
        outcome = await call.wait()
        progress = await call.progress()
        if outcome is None:
            return self._state(Outcome(answer=call.answer), progress=progress)
        return self._state(outcome, is_done=not outcome.is_busy, progress=progress)

    async def cancel(self, job: str) -> CallState:
        """End a call and remove its files; it may be made again."""
        call = self._calls.pop(job, None)
        if call is not None:
            await call.end()
        return self._state(Outcome(problem=GIVEN_UP), is_done=True)

    def _state(self, outcome: Outcome, *, is_done: bool = False, progress: CallProgress | None = None) -> CallState:
        return CallState(
            pod=self._pod, is_done=is_done, answer=outcome.answer, problem=outcome.problem, is_busy=outcome.is_busy,
            progress=progress or CallProgress(),
        )  # fmt: skip

    def _get(self, job: str) -> SaveCall:
        if job not in self._calls:
            raise CallMissing("The session knows nothing of this save, or no longer: run it again.")
        return self._calls[job]

    async def _ensure(self, kernel: PodKernel, epoch: str, job: str, order: Order) -> None:
        """Begin a call, unless that was done; raises as `begin` does, and `InterpreterBusy`."""
        if job in self._calls:
            return
        await kernel.silent_calls.check(epoch)  # which may take the time of a start
        async with self._lock:  # the same request again, whose answer was lost, may be close behind
            if job not in self._calls:
                await self._forget()
                await self._make_way(kernel)
                self._calls[job] = await self._new(kernel, epoch, job, order)

    async def _new(self, kernel: PodKernel, epoch: str, job: str, order: Order) -> SaveCall:
        archive = self._folder.resolve(f"{SAVES_FOLDER}/{order.program}")
        files = JobFiles.of(self._folder, job, order)
        if not await asyncio.to_thread(archive.is_file):
            raise ProgramMissing("The program that saves variables is not in the session.")
        await asyncio.to_thread(files.make)
        return SaveCall(kernel, epoch, order, files, archive)

    async def _make_way(self, kernel: PodKernel) -> None:
        """End what nobody waits for; raises `InterpreterBusy` where somebody does."""
        for job, call in [(job, call) for job, call in self._calls.items() if call.kernel is kernel]:
            if not call.is_done and time.monotonic() - call.asked_at < LEFT_SECONDS:
                raise InterpreterBusy("The session saves or restores variables already.")
            if not call.is_done:
                await self.cancel(job)

    async def _forget(self) -> None:
        since = time.monotonic() - FORGOTTEN_SECONDS
        for job in [job for job, call in self._calls.items() if call.asked_at < since]:
            await self.cancel(job)
