"""Effects: what a decision about requests asks to be done, in order. `kernel.relay` does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.magics.session_command import Command
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.requests.request import Request


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message of the pod's kernel as it is."""

    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Send a message of the pod's kernel to who has made a request."""

    request: Request
    channel: Channel
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """Publish a message of our own; `parent` is a header part."""

    msg_type: str
    content: Mapping[str, Any]
    parent: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Show:
    """Show something of ours in a cell; `parent` is the header part of its request."""

    shown: Shown
    parent: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply to a request ourselves."""

    request: Request
    msg_type: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the session."""

    message: Message


@dataclass(frozen=True, slots=True)
class SendInterrupt:
    """Send an interrupt of our own, with this id, ahead of the cells that are sent behind it."""

    msg_id: str
    aim: Aim


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send a `kernel_info_request` of our own, with this id, behind what was sent on a channel and subshell."""

    msg_id: str
    channel: Channel
    subshell_id: str


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Read what a `history_request` asks for, and reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Begin to look for a session."""


@dataclass(frozen=True, slots=True)
class ForgetUnsent:
    """Send nothing of what waits for the session, which is looked for no more where it has never been there."""


@dataclass(frozen=True, slots=True)
class AbortUnsent:
    """Take back the cells that the pod has not accepted, and abort them."""


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Do a `%session` command, and say when it has ended."""

    request: Request
    command: Command


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Stop the command that is being done."""


@dataclass(frozen=True, slots=True)
class BeginLine:
    """Show in the cell that waits what it waits for."""

    wait: Wait


@dataclass(frozen=True, slots=True)
class EndLine:
    """Say that the waiting is over."""


@dataclass(frozen=True, slots=True)
class NoteUntold:
    """Remember a loss until a cell is told of it; `None` once one is."""

    loss: SessionLost | None


@dataclass(frozen=True, slots=True)
class EndKernel:
    """End the kernel, as one ends that has crashed."""


Effect = (
    Publish | Forward | Say | Show | Reply | Send | SendInterrupt | SendProbe | ReadHistory | OpenSession | ForgetUnsent
    | AbortUnsent | RunCommand | CancelCommand | BeginLine | EndLine | NoteUntold | EndKernel
)  # fmt: skip
