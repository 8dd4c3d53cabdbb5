"""Events of a link, for its owner, in order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.wire import frames as wire


class Attached(NamedTuple):
    """The link is up."""

    hello: wire.Hello


class Received(NamedTuple):
    """The pod's kernel said something."""

    message: wire.Message


class Dropped(NamedTuple):
    """The pod could not keep these messages until the link came for them."""

    gap: wire.Gap


class Joined(NamedTuple):
    """So many other kernels follow the same interpreter now."""

    peers: int


class FilesChanged(NamedTuple):
    """A cell has ended, and this is what has changed in the folder that the link watches."""

    files: wire.Files


class Waiting(NamedTuple):
    """The link is down, or what was sent does not get through; it is being tried again."""

    wait: Wait


@dataclass(frozen=True, slots=True)
class Delivered:
    """The messages that did not get through have."""


class Refused(NamedTuple):
    """The pod does not take this one message, and never will; the link is up."""

    message: wire.Message
    error: RemoteKernelError


class Failed(NamedTuple):
    """Nothing that was sent so far will be answered; where the link is down, it stays so until the next message.

    Attributes:
        unsent: what the pod has certainly not accepted; it may have accepted the rest, and go on with it.
    """

    error: RemoteKernelError
    unsent: tuple[wire.Message, ...] = ()


class Lost(NamedTuple):
    """As `Failed`, and the session has lost its state; the link is up where there is another interpreter already."""

    error: SessionLost


Event = Attached | Received | Dropped | Joined | FilesChanged | Waiting | Delivered | Refused | Failed | Lost

# What the owner of a link does with each event, before the link reads on; it may not raise. One that is cancelled in it
# gets the event again when the link goes on.
OnEvent = Callable[[Event], Awaitable[None]]
