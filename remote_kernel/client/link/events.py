"""Events of a link, for its owner, in order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.wire import frames as wire


@dataclass(frozen=True, slots=True)
class Attached:
    """The link is up."""

    hello: wire.Hello


@dataclass(frozen=True, slots=True)
class Received:
    """The pod's kernel said something."""

    message: wire.Message


@dataclass(frozen=True, slots=True)
class Dropped:
    """The pod could not keep these messages until the link came for them."""

    gap: wire.Gap


@dataclass(frozen=True, slots=True)
class Joined:
    """So many other kernels follow the same interpreter now."""

    peers: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The link is down, or what was sent does not get through; it is being tried again."""

    wait: Wait


@dataclass(frozen=True, slots=True)
class Delivered:
    """The messages that did not get through have."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The pod does not take this one message, and never will; the link is up."""

    message: wire.Message
    error: RemoteKernelError


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing that was sent so far will be answered; where the link is down, it stays so until the next message."""

    error: RemoteKernelError


@dataclass(frozen=True, slots=True)
class Lost:
    """As `Failed`, and the session has lost its state; the link is up where there is another interpreter already."""

    error: SessionLost


Event = Attached | Received | Dropped | Joined | Waiting | Delivered | Refused | Failed | Lost

# What the owner of a link does with each event, before the link reads on; it may not raise.
OnEvent = Callable[[Event], Awaitable[None]]
