"""One notebook executed by one kernel, cell after cell.

nbclient runs each cell and records its outputs. When to stop is decided here: a signal or a timeout interrupts the
running cell, gives it a moment to end by itself, and ends the run with what there is.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from time import monotonic
from traceback import format_exception
from typing import Any

from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode, ValidationError

from remote_kernel.cli.output.transcript import traceback_lines
from remote_kernel.cli.run.kernel_process import LOG_BYTES, KernelDied, KernelProcess
from remote_kernel.cli.run.session_lock import EXPRESSION, LockFile, SessionLock, parse_inventory
from remote_kernel.cli.signals import Signals, Watch
from remote_kernel.core.workspace.totals import MEDIA_TYPE, Totals

# How long an interrupted cell may take to close its files and say KeyboardInterrupt.
GRACE_SECONDS = 5.0
# nbclient's default of 4 s loses the end of an output that takes longer to arrive than its reply.
OUTPUT_SECONDS = 120
TOTALS_SECONDS = 5.0
# Jupyter's own tags, and one of nbval's.
SKIP_TAGS = frozenset({"skip-execution", "nbval-skip"})
MAY_RAISE_TAG = "raises-exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plan of a run: what to execute and how.

    Attributes:
        path: absolute path of the notebook's file; the kernel works in its folder.
        kernel: name of a kernelspec; what the notebook's metadata says does not matter.
        environ: variables of this process, which the kernel gets as well.
        cell_seconds: how long one cell may take, with its wait for a session; `None` for no limit.
        allow_errors: whether to go on after a cell that raised.
        lock: is told what the session has, before the first cell and at the end; `None` where nobody asks.
    """

    path: Path
    kernel: str
    environ: Mapping[str, str] = field(repr=False)
    cell_seconds: float | None = None
    allow_errors: bool = False
    lock: LockFile | None = None


class Cause(StrEnum):
    """Cause of a run's early end."""

    ERROR = "error"
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    DEAD_KERNEL = "dead kernel"
    NOT_SENT = "not sent"
    INSIDE = "failed inside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Failure that ended a run early.

    Attributes:
        cause: the reason.
        cell: number of the code cell, from 1; 0 when the kernel never got as far.
        source: the cell's code.
        error: name and value of the cell's exception, or of ours for `Cause.INSIDE`; "" where there is none.
        traceback: with colours; "" where there is none.
        signal: number of the signal, for `Cause.SIGNAL`.
        log: the end of the kernel's standard error, for `Cause.DEAD_KERNEL`, or of the traceback, for `Cause.INSIDE`.
    """

    cause: Cause
    cell: int = 0
    source: str = ""
    error: str = ""
    traceback: str = ""
    signal: int = 0
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        cells: the indexes of the code cells that it was to execute.
        started: how many of them were started.
        seconds: how long it took, with the start of the kernel.
        cell_seconds: how long each cell took that has ended.
        workspace: what has gone to the session and back; `None` where there is no workspace, or nobody was asked.
    """

    cells: tuple[int, ...]
    started: int
    seconds: float
    failure: Failure | None
    cell_seconds: tuple[float, ...] = ()
    workspace: Totals | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether every cell was executed: no error, and no `sys.exit(0)`, ended the run before."""
        return self.failure is None and self.started == len(self.cells)

    @property
    def total(self) -> int:
        """Return how many code cells there are."""
        return len(self.cells)


class Listener:
    """Is told what happens, as it happens, but for the error that ends the run: that is in the outcome."""

    def cell_started(self, number: int, source: str) -> None:
        """Take note that a cell begins."""

    def message_arrived(self, message: Mapping[str, Any]) -> None:
        """Take note of what a cell says."""

    def cell_interrupted(self) -> None:
        """Take note that the cell is asked to end."""

    def cell_ended(self) -> None:
        """Take note that the cell has ended."""


async def execute_notebook(notebook: NotebookNode, plan: Plan, listener: Listener, signals: Signals) -> Outcome:
    """Execute `notebook` in place, in a task of its own, and return how it went."""
    began = monotonic()
    run = _Run(notebook, plan, listener)
    with signals.watch() as watch:
        try:
            failure = await run.to_end(signals, watch)
        except KernelDied as error:
            failure = run.failure(Cause.DEAD_KERNEL, log=error.log)
        except UnicodeEncodeError:
            failure = run.failure(Cause.NOT_SENT)
        except asyncio.CancelledError:
            if not signals.number:
                raise
            failure = run.failure(Cause.SIGNAL, signal=signals.number)
        except Exception as error:  # such as what nbclient makes of a reply that is malformed
            failure = describe_defect(error, run.failure(Cause.INSIDE))
    return Outcome(
        cells=tuple(run.cells),
        started=run.started,
        seconds=monotonic() - began,
        failure=failure,
        cell_seconds=tuple(run.cell_seconds),
        workspace=run.workspace,
    )


def describe_defect(error: Exception, failure: Failure) -> Failure:
    """Return a failure of `Cause.INSIDE` with what it came of."""
    trace = "".join(format_exception(error))
    return replace(failure, error=f"{type(error).__name__}: {error}", log=trace[-LOG_BYTES:])


def code_cells(notebook: NotebookNode) -> list[int]:
    """Return the indexes of the cells that a run executes."""
    return [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip() and SKIP_TAGS.isdisjoint(_tags(cell))
    ]


def _tags(cell: NotebookNode) -> list[str]:
    tags: list[str] = cell.metadata.get("tags", [])
    return tags


# What nbclient makes of a message that is not as the messaging protocol has it.
_MALFORMED = (AttributeError, LookupError, TypeError, ValueError, ValidationError)


class _Client(NotebookClient):
    """nbclient, with somebody who listens to the messages."""

    def __init__(self, notebook: NotebookNode, hear: Callable[[Mapping[str, Any]], None], **options: Any) -> None:
        super().__init__(notebook, **options)
        self._hear = hear

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        try:
            if msg["msg_type"] != "error" or self.allow_errors or MAY_RAISE_TAG in _tags(cell):
                self._hear(msg)
            return super().process_message(msg, cell, cell_index)
        except _MALFORMED:  # by the pod, or by a program in it: it costs that message, and not the run
            return None


class _Run:
    """The progress of one run: `started` of `cells`, the indexes of the cells to execute."""

    def __init__(self, notebook: NotebookNode, plan: Plan, listener: Listener) -> None:
        self.cells = code_cells(notebook)
        self.started = 0
        self.cell_seconds: list[float] = []
        self.workspace: Totals | None = None
        self._notebook = notebook
        self._plan = plan
        self._listener = listener
        self._client = _Client(
            notebook,
            listener.message_arrived,
            kernel_name=plan.kernel,
            allow_errors=plan.allow_errors,
            iopub_timeout=OUTPUT_SECONDS,
        )
        self._kernel = KernelProcess(self._client, plan.environ)

    async def to_end(self, signals: Signals, watch: Watch) -> Failure | None:
        """Execute all cells between the start and the stop of the kernel; cancelled, kill the kernel."""
        try:
            await self._kernel.start(self._plan.path)
            watch.is_patient = True
            failure = await self._execute_cells(signals)
            if not signals.received.is_set():
                self.workspace = await self._ask_totals()
            self._client.set_widgets_metadata()
        except asyncio.CancelledError:
            self._kernel.is_urgent = True
            raise
        finally:
            await self._kernel.stop()
        return failure

    def failure(self, cause: Cause, *, signal: int = 0, log: str = "") -> Failure:
        """Return a failure of the cell started last."""
        if not self.started:
            return Failure(cause=cause, signal=signal, log=log)
        cell = self._notebook.cells[self.cells[self.started - 1]]
        errors = [output for output in cell.outputs if output.output_type == "error"]
        return Failure(
            cause=cause,
            cell=self.started,
            source=cell.source,
            error=f"{errors[-1].ename}: {errors[-1].evalue}" if errors else "",
            traceback="\n".join(traceback_lines(errors[-1])) if errors else "",
            signal=signal,
            log=log,
        )

    async def _execute_cells(self, signals: Signals) -> Failure | None:
        self._client.reset_execution_trackers()
        await self._record_language()
        lock = self._plan.lock
        if lock is not None:
            lock.check(await self._take_inventory(signals))
        for index in self.cells:
            if signals.received.is_set():
                return self.failure(Cause.SIGNAL, signal=signals.number)
            cause = await self._execute_cell(index, signals)
            if cause is Cause.ERROR and _is_exit(self._notebook.cells[index]):
                break
            if cause is not None:
                return self.failure(cause, signal=signals.number)
        if lock is not None:
            lock.note(await self._take_inventory(signals))
        return None

    async def _take_inventory(self, signals: Signals) -> SessionLock | None:
        """Return what the session has; `None` where it does not say so, or a signal comes first."""
        task = asyncio.ensure_future(self._ask_inventory())
        signalled = asyncio.ensure_future(signals.received.wait())
        try:
            await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self._kernel.interrupt()
            return task.result() if task.done() else None
        except DeadKernelError:
            raise KernelDied(self._kernel.read_log()) from None
        finally:
            for each in (task, signalled):
                each.cancel()
            await asyncio.gather(task, signalled, return_exceptions=True)

    async def _ask_inventory(self) -> SessionLock | None:
        assert self._client.kc is not None
        # Not a silent one, for which nobody takes a session; without a place in the history it has no number either.
        request = self._client.kc.execute(
            "pass", store_history=False, user_expressions={"lock": EXPRESSION}, allow_stdin=False
        )
        reply = await self._client.async_wait_for_reply(request)
        return None if reply is None else parse_inventory(reply)

    async def _ask_totals(self) -> Totals | None:
        """Return what has gone to the session and back, which our kernel says at once, whatever runs there."""
        assert self._client.kc is not None
        assert self._client.km is not None
        if not await ensure_async(self._client.km.is_alive()):
            return None  # as where its session was lost
        request = self._client.kc.inspect("%session sync")
        try:
            async with asyncio.timeout(TOTALS_SECONDS):  # another kernel may have no answer
                reply = await self._client.async_wait_for_reply(request)
        except (TimeoutError, DeadKernelError):
            return None
        data = reply["content"].get("data") if reply is not None else None
        return Totals.parse(data.get(MEDIA_TYPE)) if isinstance(data, dict) else None

    async def _record_language(self) -> None:
        assert self._client.kc is not None
        request = await ensure_async(self._client.kc.kernel_info())
        reply = await self._client.async_wait_for_reply(request)
        if reply is not None:
            self._notebook.metadata["language_info"] = reply["content"]["language_info"]

    async def _execute_cell(self, index: int, signals: Signals) -> Cause | None:
        cell = self._notebook.cells[index]
        self.started += 1
        self._listener.cell_started(self.started, cell.source)
        began = monotonic()
        task = asyncio.ensure_future(self._client.async_execute_cell(cell, index))
        try:
            cause = await self._watch(task, signals) or _cause_of(task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # nbclient turns the cancellation into an error
        self.cell_seconds.append(monotonic() - began)
        self._listener.cell_ended()
        if cause is Cause.DEAD_KERNEL:
            if self.failure(cause).error:
                return Cause.ERROR  # its last word was why, as where its session was lost
            raise KernelDied(self._kernel.read_log())
        return cause

    async def _watch(self, task: asyncio.Task[NotebookNode], signals: Signals) -> Cause | None:
        """Wait until the cell has ended by itself (`None`), or interrupt it and say why."""
        signalled = asyncio.ensure_future(signals.received.wait())
        try:
            done, _ = await asyncio.wait(
                {task, signalled}, timeout=self._plan.cell_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            signalled.cancel()
        if task in done:
            return None
        self._listener.cell_interrupted()
        await self._kernel.interrupt()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        return Cause.SIGNAL if signalled in done else Cause.TIMEOUT


def _is_exit(cell: NotebookNode) -> bool:
    """Return whether a cell that raised has ended the notebook as meant, by `sys.exit(0)`; papermill does so."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    return bool(errors) and errors[-1].ename == "SystemExit" and errors[-1].evalue in {"", "0", "None"}


def _cause_of(task: asyncio.Task[NotebookNode]) -> Cause | None:
    """Return what a cell that ended by itself failed of; raises what is no failure of the cell."""
    try:
        task.result()
    except CellExecutionError:
        return Cause.ERROR
    except DeadKernelError:
        return Cause.DEAD_KERNEL
    return None
