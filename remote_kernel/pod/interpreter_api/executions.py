"""The executions of one pod: what was asked for, in which interpreter it runs, and what became of it."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.interpreter_api.executions import Execution, Status
from remote_kernel.core.interpreter_api.requests import ExecutionRequest
from remote_kernel.core.interpreter_api.versions import SYNC_LIMIT_SECONDS, ApiRefusal
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import DEFAULT_KERNEL, DEFAULT_KERNELSPEC, Channel
from remote_kernel.io.tasks import start
from remote_kernel.pod.api.execute import run_cell
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreter_api.outcome import Gathering
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.registry import Registry

_log = logging.getLogger(__name__)

# Synchronous executions share the variables of the session's notebook; see docs/interpreter-api.md.
SYNCHRONOUS_KERNEL = DEFAULT_KERNEL
EMPTY_KERNEL = "empty"
ASYNCHRONOUS_KERNEL = "asynchronous"

# How many finished executions can still be asked for.
MAX_KEPT = 100

# How long interrupted code may take to notice.
INTERRUPT_SECONDS = 2.0


class Executions:
    """Runs code in the interpreters of a pod.

    Synchronous executions run one after another, in one interpreter. Each asynchronous one has an interpreter to itself
    while it runs; the next one may find the variables of an earlier one there.

    Args:
        kernelspec: of the interpreters.
        sync_limit_seconds: how long a synchronous execution may take.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        kernelspec: str = DEFAULT_KERNELSPEC,
        sync_limit_seconds: float = SYNC_LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._kernelspec = kernelspec
        self._sync_limit_seconds = sync_limit_seconds
        self._clock = clock
        self._known: dict[str, Execution] = {}
        self._tasks: dict[str, asyncio.Task[Execution]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._taken: set[str] = set()
        self._is_stopping = False

    def get(self, operation_id: str) -> Execution:
        """Return an execution as it is now; raises `ApiRefusal` (404) when it is not, or no longer, known."""
        if operation_id not in self._known:
            raise ApiRefusal(
                404, "ExecutionNotFound", "No execution of this session has this id.", target="executionId"
            )
        return self._known[operation_id]

    async def execute(self, request: ExecutionRequest, *, identifier: str, operation_id: str = "") -> Execution:
        """Execute code; return when it is done or, if it is asynchronous, at once.

        A synchronous execution goes on when nobody waits for it any more. One whose `operation_id` is known is not run
        again: its own state is returned.

        Raises:
            TooManyKernels: there is no room for another interpreter.
            ApiRefusal: (503) the pod is stopped.
        """
        if self._is_stopping:
            raise ApiRefusal(503, "ServiceUnavailable", "The pod of this session is stopped.")
        execution = self._known.get(operation_id) or self._begin(request, identifier, operation_id)
        return execution if execution.is_asynchronous else await asyncio.shield(self._tasks[execution.id])

    def stop(self) -> None:
        """End every execution with an error, so that who waits for it has its answer before the pod is gone."""
        self._is_stopping = True
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, request: ExecutionRequest, identifier: str, operation_id: str) -> Execution:
        kernel = self._kernel_for(request)
        execution = Execution(
            id=operation_id or str(uuid.uuid4()),
            identifier=identifier,
            is_asynchronous=request.is_asynchronous,
            status=Status.NOT_STARTED,
        )
        self._known[execution.id] = execution
        self._tasks[execution.id] = start(self._run(execution, request, kernel), "execution")
        self._forget_oldest()
        return execution

    def _kernel_for(self, request: ExecutionRequest) -> PodKernel:
        if not request.is_asynchronous:
            return self._get_kernel(EMPTY_KERNEL if request.is_empty_kernel else SYNCHRONOUS_KERNEL)
        kernel = self._get_kernel(self._free_name())
        self._taken.add(kernel.name)
        return kernel

    def _free_name(self) -> str:
        # Code that does not heed its interrupt keeps its interpreter after its execution has ended.
        taken = self._taken | {kernel.name for kernel in self._registry.kernels if kernel.is_busy}
        names = (f"{ASYNCHRONOUS_KERNEL}-{number}" for number in count(1))
        return next(name for name in names if name not in taken)

    def _get_kernel(self, name: str) -> PodKernel:
        """Return the kernel of that name; one that runs another kernelspec is a notebook's choice, and is used."""
        kernels = {kernel.name: kernel for kernel in self._registry.kernels}
        kernel = kernels.get(name)
        if kernel is None or kernel.is_ending or self._registry.is_leaving:
            kernel = self._registry.get_or_create(name, self._kernelspec)
        kernel.readers.claims.note("", time.monotonic())
        return kernel

    async def _run(self, execution: Execution, request: ExecutionRequest, kernel: PodKernel) -> Execution:
        gathering = Gathering(max_output=request.max_output, form=request.form)
        limit = self._limit_of(request)
        begun_at = self._clock()
        try:
            async with asyncio.timeout(limit), self._locks[kernel.name]:
                await _wait_idle(kernel)
                self._known[execution.id] = replace(execution, status=Status.RUNNING)
                begun_at = self._clock()
                await self._gather(kernel, request.code, gathering)
        except TimeoutError:
            gathering.fail("Timeout", f"The execution took longer than {limit:g} s.")
        except asyncio.CancelledError:  # by `stop`
            gathering.fail(SessionLost.__name__, "The interpreter ended (its pod is stopped); its variables are gone.")
        except RemoteKernelError as error:
            gathering.fail(error.name, str(error))
        except Exception as error:
            _log.exception(LogEvent("failed inside"))
            gathering.fail(type(error).__name__, "The pod's agent has failed inside.")
        finally:
            self._taken.discard(kernel.name)
        outcome = gathering.outcome(round(1000 * (self._clock() - begun_at)))
        status = Status.SUCCEEDED if outcome.error is None else Status.FAILED
        self._known[execution.id] = finished = replace(execution, status=status, outcome=outcome)
        return finished

    async def _gather(self, kernel: PodKernel, code: str, gathering: Gathering) -> None:
        """Run `code` to its end; when it has taken too long, interrupt it and wait a little for the end."""
        cell = asyncio.create_task(_listen(kernel, code, gathering))
        try:
            await asyncio.shield(cell)
        except asyncio.CancelledError:
            if not self._is_stopping:
                await kernel.request(Channel.CONTROL, Author("agent").write("interrupt_request", {}, date=utc_now()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INTERRUPT_SECONDS):
                        await asyncio.shield(cell)
            raise
        finally:
            cell.cancel()

    def _limit_of(self, request: ExecutionRequest) -> float:
        asked = request.timeout_seconds or self._sync_limit_seconds
        return asked if request.is_asynchronous else min(asked, self._sync_limit_seconds)

    def _forget_oldest(self) -> None:
        finished = [name for name, execution in self._known.items() if execution.status.is_final]
        for name in finished[: max(0, len(finished) - MAX_KEPT)]:
            del self._known[name], self._tasks[name]


async def _wait_idle(kernel: PodKernel) -> None:
    """Return when nothing else runs: code in the interpreter's own queue could not be called back."""
    while True:
        wakeup = kernel.readers.wakeups.next
        if not (kernel.is_busy or kernel.silent_calls.is_running):
            return
        await wakeup.wait()


async def _listen(kernel: PodKernel, code: str, gathering: Gathering) -> None:
    async for message in run_cell(kernel, code):
        gathering.add(parse_header(message.parts[0]).msg_type, parse_object(message.parts[3]))
