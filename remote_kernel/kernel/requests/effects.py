"""Effects: what a decision about requests asks to be done, in order. `kernel.relay` does it.

They are named tuples, as making a frozen dataclass takes five times as long (CPython 3.11), and every start of a kernel
waits for it.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.magics.command import Command
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.requests.request import Request


class Publish(NamedTuple):
    """Publish a message of the pod's kernel as it is."""

    parts: tuple[bytes, ...]


class Forward(NamedTuple):
    """Send a message of the pod's kernel to who has made a request."""

    request: Request
    channel: Channel
    parts: tuple[bytes, ...]


class Say(NamedTuple):
    """Publish a message of our own; `parent` is a header part."""

    msg_type: str
    content: Mapping[str, Any]
    parent: bytes = b"{}"


class Show(NamedTuple):
    """Show something of ours in a cell; `parent` is the header part of its request."""

    shown: Shown
    parent: bytes


class Reply(NamedTuple):
    """Reply to a request ourselves."""

    request: Request
    msg_type: str
    content: Mapping[str, Any]


class Send(NamedTuple):
    """Send a message to the session; `is_use` says whether it shows that somebody uses that."""

    message: Message
    is_use: bool = True


class SendInterrupt(NamedTuple):
    """Send an interrupt of our own, with this id, ahead of the cells that are sent behind it."""

    msg_id: str
    aim: Aim


class SendProbe(NamedTuple):
    """Send a `kernel_info_request` of our own, with this id, behind what was sent on a channel and subshell."""

    msg_id: str
    channel: Channel
    subshell_id: str


class ReadHistory(NamedTuple):
    """Read what a `history_request` asks for, and reply."""

    request: Request


class Explain(NamedTuple):
    """Say below the traceback of a cell what can be done about its error, and when that has been said."""

    request: Request
    name: str
    text: str


class Prepare(NamedTuple):
    """Prepare the session for a cell, and say when that has ended."""

    request: Request


class RunCommand(NamedTuple):
    """Do a `%session` command, and say when it has ended."""

    request: Request
    command: Command


class BeginLine(NamedTuple):
    """Show in the cell that waits what it waits for."""

    wait: Wait


class NoteUntold(NamedTuple):
    """Remember a loss until a cell is told of it; `None` once one is."""

    loss: SessionLost | None


class Step(Enum):
    """Effect that needs no more to be said.

    OPEN_SESSION: begin to look for a session.
    FORGET_UNSENT: send nothing of what waits for the session, and look no more for one that has never been there.
    ABORT_UNSENT: take back the cells that the pod has not accepted, and abort them.
    CANCEL_COMMAND: stop the command that is being done.
    CANCEL_PREPARATION: stop preparing the session for a cell.
    END_LINE: say that the waiting is over.
    NOTE_DROPPED_PROMPT: count a prompt that nobody is shown.
    END_KERNEL: end the kernel, as one ends that has crashed.
    """

    OPEN_SESSION = auto()
    FORGET_UNSENT = auto()
    ABORT_UNSENT = auto()
    CANCEL_COMMAND = auto()
    CANCEL_PREPARATION = auto()
    END_LINE = auto()
    NOTE_DROPPED_PROMPT = auto()
    END_KERNEL = auto()


Effect = (
    Publish | Forward | Say | Show | Reply | Send | SendInterrupt | SendProbe | ReadHistory | Explain | Prepare
    | RunCommand | BeginLine | NoteUntold | Step
)  # fmt: skip
