"""Processes: a child with a snapshot of the interpreter, and its workers, any of which may end or hang."""

from __future__ import annotations

import contextlib
import gc
import io
import marshal
import os
import select
import signal
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace.pickling import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Do = Callable[[Any], "dict[str, Any]"]

OVER = "was not reached in the time that a save may take"
# How often a supervisor looks whether its interpreter is still there.
LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
# Of the processor, cells come first.
_NICENESS = 10

# Where memory runs out, the system ends a worker first, then its supervisor, and the notebook last.
_OOM_OF_WORKER, _OOM_OF_SUPERVISOR = 1000, 900

# Libraries with threads or memory of their own, which a child would find in pieces.
_UNFORKABLE = ("cupy", "tensorflow", "jax", "pycuda", "pyspark")


class Gone(Exception):
    """The interpreter whose snapshot this is has ended."""


def can_fork() -> bool:
    """Return whether a child of this interpreter could work: not on macOS, and not beside CUDA."""
    if not sys.platform.startswith("linux") or any(name in sys.modules for name in _UNFORKABLE):
        return False
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return not (cuda is not None and cuda.is_initialized())


def fork_child(work: Callable[[], None]) -> int:
    """Return the process that does `work` with a snapshot of this one. `OSError` if there can be none."""
    interpreter = os.getpid()
    pid = _fork()
    if pid == 0:
        try:
            _detach(interpreter)
            work()
        finally:
            os._exit(0)
    threading.Thread(target=_reap, args=(pid,), daemon=True).start()
    return pid


def end_child(pid: int) -> None:
    """End a child and its workers, if they are still there."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _fork() -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the other threads; the child uses nothing of theirs
        return os.fork()


def _reap(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)


def _detach(interpreter: int) -> None:
    """Leave alone what this process has of its interpreter's: streams, sockets, signals, finalizers."""
    os.setpgid(0, 0)
    gc.disable()
    sys.settrace(None)
    sys.setprofile(None)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    _close_sockets()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    os.nice(_NICENESS)
    _die_first(_OOM_OF_SUPERVISOR)
    _die_with_parent()
    if os.getppid() != interpreter:
        raise Gone


def _close_sockets() -> None:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.close(int(name))


def _die_with_parent() -> None:
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _die_first(adjustment: int) -> None:
    """Let the system end this process before the notebook's, where memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(adjustment))


class Workers:
    """Does tasks in processes of their own, one after another, each from where the one before has failed.

    Args:
        do: does one task; its answer is made of what `marshal` takes.
        seconds: for each task.
        ends_at: when what is left is not begun any more.
        clock: in seconds.
    """

    is_apart = True

    def __init__(self, do: Do, seconds: float, ends_at: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._do, self._seconds, self._ends_at, self._clock = do, seconds, ends_at, clock
        self._parent = os.getppid()

    def run(self, tasks: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield the answers in order; for a task that ended its worker, `{"lost": reason}`. `Gone` if nobody waits."""
        done = 0
        while done < len(tasks):
            if self._clock() >= self._ends_at:
                yield from ({"lost": OVER} for _ in tasks[done:])
                return
            worker = Worker(self._do, tasks[done:])
            try:
                for answer in self._answers(worker):
                    done += 1
                    yield answer
            finally:
                reason = worker.end()
            if done < len(tasks):
                done += 1
                yield {"lost": reason}

    def _answers(self, worker: Worker) -> Iterator[dict[str, Any]]:
        ends_at = min(self._clock() + self._seconds, self._ends_at)
        while True:
            left = ends_at - self._clock()
            if left <= 0:
                worker.kill(OVER if ends_at == self._ends_at else f"took longer than {self._seconds:g} s")
                return
            if os.getppid() != self._parent:
                raise Gone
            if not select.select([worker.answers], [], [], min(left, LOOK_SECONDS))[0]:
                continue
            answer = worker.read()
            if answer is None:
                return
            yield answer
            ends_at = min(self._clock() + self._seconds, self._ends_at)


class Worker:
    """Process that does tasks until it has done all, or ends.

    Attributes:
        answers: file to be waited for.
    """

    def __init__(self, do: Do, tasks: Sequence[Any]) -> None:
        self.answers, writer = os.pipe()
        self._reason = ""
        self._pid = _fork()
        if self._pid == 0:
            try:
                _die_with_parent()
                _die_first(_OOM_OF_WORKER)
                os.close(self.answers)
                _work(do, tasks, writer)
            finally:
                os._exit(0)
        os.close(writer)

    def read(self) -> dict[str, Any] | None:
        """Return the next answer, or None if there is none."""
        length = self._read(8)
        data = self._read(int.from_bytes(length, "big")) if length else b""
        answer: dict[str, Any] | None = marshal.loads(data) if data else None  # noqa: S302  # of our own process
        return answer

    def _read(self, length: int) -> bytes:
        """Return so many bytes, or none if the worker has ended before."""
        data = bytearray()
        while len(data) < length:
            part = os.read(self.answers, min(length - len(data), 1 << 20))
            if not part:
                return b""
            data += part
        return bytes(data)

    def kill(self, reason: str) -> None:
        self._reason = reason
        os.kill(self._pid, signal.SIGKILL)

    def end(self) -> str:
        """Return why it has ended, as what is said of the task that it had then."""
        os.close(self.answers)
        _, status = os.waitpid(self._pid, 0)
        if self._reason:
            return self._reason
        if os.WIFSIGNALED(status):
            return f"ended the process that pickled it ({signal.Signals(os.WTERMSIG(status)).name})" + (
                ", as happens where memory runs out" if os.WTERMSIG(status) == signal.SIGKILL else ""
            )
        return f"ended the process that pickled it (status {os.WEXITSTATUS(status)})"


def _work(do: Do, tasks: Sequence[Any], writer: int) -> None:
    for task in tasks:
        data = marshal.dumps(do(task))
        view = memoryview(len(data).to_bytes(8, "big") + data)
        while view:
            view = view[os.write(writer, view) :]


class InPlace:
    """Does tasks in this process, where no child can; a signal ends what takes too long, if Python gets to see it."""

    is_apart = False

    def __init__(self, do: Do, seconds: float, ends_at: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._do, self._seconds, self._ends_at, self._clock = do, seconds, ends_at, clock

    def run(self, tasks: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield the answers in order; for a task that took too long, `{"lost": reason}`."""
        for task in tasks:
            seconds = min(self._seconds, self._ends_at - self._clock())
            yield self._do_one(task, seconds) if seconds > 0 else {"lost": OVER}

    def _do_one(self, task: Any, seconds: float) -> dict[str, Any]:
        try:
            nothing = io.StringIO()
            with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing), time_limit(seconds):
                return self._do(task)
        except refusals.TimeOver:
            return {"lost": f"took longer than {self._seconds:g} s"}


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeOver` when the time is over, in the main thread of a system that has signals."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise_time_over)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, before)


def _raise_time_over(number: int, frame: Any) -> None:
    raise refusals.TimeOver
