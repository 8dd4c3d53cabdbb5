"""Lives of a kernel's interpreters, one after another: states and moves in a table, decided without any interpreter."""

import secrets
from collections.abc import Callable
from enum import Enum, StrEnum, auto

from remote_kernel.core.errors import RemoteKernelError


class EpochMismatch(RemoteKernelError):
    """The client speaks of an interpreter that is not, or no longer, the one here."""


class State(Enum):
    """State of a kernel's interpreter."""

    ABSENT = auto()  # nobody has asked for one in this epoch, or it did not start
    STARTING = auto()  # it may have started already, as long as nobody has asked for it since
    RUNNING = auto()
    CLOSED = auto()  # there will be no other


class Event(StrEnum):
    """Event in a life; the text is the reason that clients are told of a new epoch."""

    WANTED = "wanted"
    STARTED = "started"
    FAILED = "failed"
    DIED = "died"
    RESTART = "restart"
    SHUTDOWN = "shutdown"
    CLOSE = "close"


class Step(Enum):
    """Step that makes a decision true."""

    BEGIN = auto()  # begin to start an interpreter
    ADOPT = auto()  # listen to the one that has started
    END = auto()  # ask the one that runs to end
    GIVE_UP = auto()  # end the one that starts
    BURY = auto()  # end what the one that died has left running
    NEW_EPOCH = auto()  # tell everybody that what was known is gone


# What is not here changes nothing, such as whatever happens to a kernel that is closed.
MOVES: dict[tuple[State, Event], tuple[State, tuple[Step, ...]]] = {
    (State.ABSENT, Event.WANTED): (State.STARTING, (Step.BEGIN,)),
    (State.ABSENT, Event.RESTART): (State.STARTING, (Step.NEW_EPOCH, Step.BEGIN)),
    (State.ABSENT, Event.SHUTDOWN): (State.CLOSED, (Step.NEW_EPOCH,)),
    (State.ABSENT, Event.CLOSE): (State.CLOSED, ()),
    (State.STARTING, Event.STARTED): (State.RUNNING, (Step.ADOPT,)),
    (State.STARTING, Event.FAILED): (State.ABSENT, ()),
    (State.STARTING, Event.RESTART): (State.STARTING, (Step.GIVE_UP, Step.NEW_EPOCH, Step.BEGIN)),
    (State.STARTING, Event.SHUTDOWN): (State.CLOSED, (Step.GIVE_UP, Step.NEW_EPOCH)),
    (State.STARTING, Event.CLOSE): (State.CLOSED, (Step.GIVE_UP,)),
    (State.RUNNING, Event.DIED): (State.ABSENT, (Step.BURY, Step.NEW_EPOCH)),
    (State.RUNNING, Event.RESTART): (State.STARTING, (Step.END, Step.NEW_EPOCH, Step.BEGIN)),
    (State.RUNNING, Event.SHUTDOWN): (State.CLOSED, (Step.END, Step.NEW_EPOCH)),
    (State.RUNNING, Event.CLOSE): (State.CLOSED, (Step.END,)),
}


class Lives:
    """The state of one kernel's interpreter, and the epochs that there were.

    Args:
        new_epoch: makes a name that there never was.

    Attributes:
        epoch: names the current life, whether its interpreter has been started yet or not.
        has_run: whether there ever was an interpreter.
    """

    def __init__(self, *, new_epoch: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self.state = State.ABSENT
        self.has_run = False
        self._new_epoch = new_epoch
        self.epoch = new_epoch()
        self._epochs = {self.epoch}

    def knows(self, epoch: str) -> bool:
        """Return whether `epoch` is, or was, one of this kernel: a cursor from then is still good."""
        return epoch in self._epochs

    @property
    def is_closed(self) -> bool:
        """Return whether there will be no other interpreter."""
        return self.state is State.CLOSED

    def check(self, epoch: str) -> None:
        """Return if `epoch` is the current one; raises `EpochMismatch`."""
        if epoch != self.epoch:
            raise EpochMismatch("The session is not the one that this message was meant for.")

    def move(self, event: Event) -> tuple[Step, ...]:
        """Note what has happened, and return what is to be done, in order."""
        self.state, steps = MOVES.get((self.state, event), (self.state, ()))
        if Step.NEW_EPOCH in steps:
            self.epoch = self._new_epoch()
            self._epochs.add(self.epoch)
        self.has_run |= Step.ADOPT in steps
        return steps
