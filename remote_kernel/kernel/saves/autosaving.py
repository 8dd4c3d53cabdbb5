"""Autosave of one kernel's session: asks the decision (`autosave`) when, and saves in the background."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from remote_kernel.core.errors import RemoteKernelError, SessionBusy
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.saves.autosave import Autosave

T = TypeVar("T")

_log = logging.getLogger(__name__)

# What a save that is given up at the end of the kernel may take to end.
DROP_SECONDS = 0.1

FAILED = "The notebook could not be saved by itself, which is tried again later. {error}"


class Working(Protocol):
    """Work on a save; `has_snapshot` tells whether cells may run meanwhile."""

    @property
    def has_snapshot(self) -> bool: ...


class Autosaving:
    """Saves a session by itself.

    Args:
        kept_until: returns until when the session is kept (monotonic seconds); `None` where it cannot be reached, as it
            would be taken anew.
        save: does it, with `noting`; raises `RemoteKernelError`, and leaves nothing when it is cancelled.
        tell: says something in the next cell.

    Attributes:
        state: what is known and wanted.
        problem: why the last save came to nothing; "" where it did not.
    """

    def __init__(
        self, kept_until: Callable[[], float | None], save: Callable[[], Awaitable[object]],
        tell: Callable[[str], None], state: Autosave | None = None,
    ) -> None:  # fmt: skip
        self.state = state or Autosave()
        self.problem = ""
        self._kept_until = kept_until
        self._save = save
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._work: Working | None = None

    def switch(self, *, is_on: bool) -> None:
        """Save by itself from now on, or no more; a save that is under way goes on."""
        self.state.is_on, self.problem = is_on, ""
        self.look_again()

    @property
    def has_snapshot(self) -> bool:
        """Return whether a save is under way that no cell has to wait for."""
        return self._work is not None and self._work.has_snapshot

    def note_busy(self, is_busy: bool) -> None:
        """Note whether the session runs something; a save that holds it up is given up."""
        self.state.note_busy(is_busy, time.monotonic())
        if self.has_snapshot:
            self.state.note_snapshot()
        if self.state.must_drop:
            self._drop()
        self.look_again()

    def note_gone(self) -> None:
        self._drop()
        self.state.note_gone()

    def look_again(self) -> None:
        """Set the timer for what is known now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._due_at()
        if due is not None and self._task is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._wake)

    def _due_at(self) -> float | None:
        kept_until = self._kept_until()
        return None if kept_until is None else self.state.due_at(kept_until)

    def _wake(self) -> None:
        self._timer = None
        due = self._due_at()
        if due is not None and due <= time.monotonic():
            self._begin()
        else:
            self.look_again()

    def _begin(self) -> None:
        self._task = start(self._run(), "autosave")
        self._task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        if self._task is task:
            self._task = None
            self.look_again()

    async def _run(self) -> None:
        try:
            await self._save()
        except SessionBusy:
            pass  # another kernel's cell runs; the next try is not far
        except RemoteKernelError as error:
            self._note_failure(error)
        except Exception as defect:
            self._note_failure(report_defect(defect))
        else:
            self.problem = ""

    def _note_failure(self, error: RemoteKernelError) -> None:
        _log.warning(LogEvent("not saved", error=error.name, text=str(error)))
        if not self.problem:
            self._tell(FAILED.format(error=error))
        self.problem = str(error)

    async def noting(self, work: Working, saving: Callable[[], Awaitable[T]]) -> T:
        """Save, by itself or on order, and take note of it; return what `saving` returns, and raise what it raises."""
        self._work = work
        self.state.begin(time.monotonic())
        try:
            saved = await saving()
        except asyncio.CancelledError:
            self.state.dropped()
            raise
        except Exception:
            self.state.failed(time.monotonic())
            raise
        else:
            self.state.saved(time.monotonic())
            return saved
        finally:
            self._work = None

    def _drop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Give up the save that is under way by itself, as for one on order."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def finish(self, *, within_seconds: float) -> None:
        """Save what has changed before the session goes; what is not whole in time is dropped, within it as well."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self.state.is_due_before_end and self._kept_until() is not None:
            self._begin()
        if (task := self._task) is not None:
            _, late = await asyncio.wait({task}, timeout=max(0.0, within_seconds - DROP_SECONDS))
            if late:
                _log.info(LogEvent("save dropped", seconds=within_seconds))
                task.cancel()
                await asyncio.wait({task}, timeout=DROP_SECONDS)

    async def aclose(self) -> None:
        self.state.is_on = False
        await self.finish(within_seconds=0.0)
