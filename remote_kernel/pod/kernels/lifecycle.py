"""Lifecycle of a kernel's interpreters: makes true what `lives` decides."""

import asyncio
import logging
from collections.abc import Callable

from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.tasks import start
from remote_kernel.pod.interpreters.channels import Gathering, Receive
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.lives import EpochMismatch, Event, Lives, State, Step

_log = logging.getLogger(__name__)

Begin = Callable[[], "asyncio.Task[Interpreter]"]


class Lifecycle:
    """The interpreters of one kernel: at most one at a time that runs or starts.

    Args:
        name: the kernel's.
        lives: decides.
        begin: begins to start an interpreter.
        shutdowns: ends interpreters; a kernel of the same name may have left it one.
        receive: is given what the current interpreter says, all that has come at once in a context of `gathering`.
        on_start: called when another interpreter begins to be listened to.
        on_epoch: called with reason and detail when another epoch has begun.

    Attributes:
        current: the interpreter that runs; `None` while there is none.
        cell_files: where the last interpreter's debugger has, or had, the files of cells.
    """

    def __init__(
        self, name: str, lives: Lives, *, begin: Begin, shutdowns: Shutdowns, receive: Receive,
        gathering: Gathering, on_start: Callable[[], None], on_epoch: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.current: Interpreter | None = None
        self.cell_files = CellFiles()
        self._name = name
        self._lives = lives
        self._begin = begin
        self._starting: asyncio.Task[Interpreter] | None = None
        self._shutdowns = shutdowns
        self._receive = receive
        self._gathering = gathering
        self._on_start = on_start
        self._on_epoch = on_epoch
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_starting(self) -> bool:
        """Return whether an interpreter is on its way."""
        return self._starting is not None and not self._starting.done()

    @property
    def has_failed(self) -> bool:
        """Return whether there never was an interpreter, and none is starting."""
        return not self._lives.has_run and not self.is_starting

    async def interpreter(self) -> Interpreter:
        """Return the interpreter of the current epoch, started if need be; of a restart meanwhile, the one behind it.

        Raises:
            UnknownKernel, StartFailed: see `Interpreter.start`.
            EpochMismatch: it was stopped while it started, or the kernel was shut down for good.
        """
        self.move(Event.WANTED)
        while self.current is None and (starting := self._starting) is not None:
            await asyncio.wait([starting])
            if self._starting is starting:  # nobody else has waited for it, nor ended it
                has_failed = starting.cancelled() or starting.exception() is not None
                self.move(Event.FAILED if has_failed else Event.STARTED)
            if self._starting is None and not starting.cancelled():
                starting.result()
        if self.current is None:
            raise EpochMismatch("The kernel was stopped while it started, or for good.")
        return self.current

    async def wait_others(self) -> None:
        """Return when no earlier interpreter is left: it may be writing files that the next one's code will read."""
        await self._shutdowns.wait(self._name)

    @property
    def has_others(self) -> bool:
        """Return whether an earlier interpreter has not ended so far."""
        return self._shutdowns.has(self._name)

    def move(self, event: Event, *, detail: str = "", interrupts: bool = True) -> None:
        """Do what an event makes necessary; what ends, ends in the background, as whoever asked has no time.

        Args:
            interrupts: whether what an interpreter does is to be interrupted before its end.
        """
        starting, current = self._starting, self.current
        for step in self._lives.move(event):
            match step:
                case Step.BEGIN:
                    self._starting = self._begin()
                case Step.ADOPT:
                    assert starting is not None
                    self._adopt(starting.result())
                case Step.GIVE_UP:
                    assert starting is not None
                    self._shutdowns.give_up(self._name, starting)
                case Step.END:
                    assert current is not None
                    self._let_go(current)
                    self._shutdowns.begin(self._name, current, restart=event is Event.RESTART, interrupts=interrupts)
                case Step.BURY:
                    assert current is not None
                    self._let_go(current)
                    self._shutdowns.kill(self._name, current)
                case Step.NEW_EPOCH:
                    self._on_epoch(event, detail)
        if self._lives.state is not State.STARTING:
            self._starting = None

    def _adopt(self, interpreter: Interpreter) -> None:
        self._on_start()
        interpreter.take_cell_files(self.cell_files)
        self.cell_files = interpreter.cell_files
        self.current = interpreter
        interpreter.listen(self._receive, self._gathering)
        self._watching = start(self._watch(interpreter), "watch", on_failure=self._lose)

    async def _watch(self, interpreter: Interpreter) -> None:
        detail = await asyncio.shield(interpreter.exited)
        await interpreter.drain()
        self._watching = None
        _log.warning(LogEvent("interpreter died", kernel=self._name, detail=detail))
        self.move(Event.DIED, detail=detail)

    def _lose(self, _error: Exception) -> None:
        """End an interpreter whose end nobody would notice; its clients are told."""
        self.move(Event.DIED, detail="the agent has lost sight of it")

    def _let_go(self, interpreter: Interpreter) -> None:
        interpreter.listen(lambda _channel, _parts: None)  # what follows it may be heard already
        self.current = None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
