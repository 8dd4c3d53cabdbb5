"""Listener of a link: protocol of who is told what the link brings."""

from typing import Protocol

from remote_kernel.client.link import events
from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire import frames as wire


class Listener(Protocol):
    """Owner of a link. None of the calls may raise; all run in the link's own tasks, in order."""

    async def attached(self, hello: wire.Hello) -> None:
        """The link is up."""

    async def received(self, message: wire.Message) -> None:
        """The pod's kernel said something."""

    async def dropped(self, gap: wire.Gap) -> None:
        """The pod could not keep these events until we came for them."""

    async def joined(self, peers: int) -> None:
        """So many other kernels follow the same interpreter now."""

    async def waiting(self, wait: Wait) -> None:
        """The link is down, or what was sent does not get through; it is being tried again."""

    async def delivered(self) -> None:
        """Return what did not get through has."""

    async def refused(self, message: wire.Message, error: RemoteKernelError) -> None:
        """The pod does not take this one message, and will never; the link is up."""

    async def failed(self, error: RemoteKernelError) -> None:
        """The link is down and is not tried again before the next `send`; nothing sent so far will be answered."""


async def tell(listener: Listener, event: events.Event) -> None:
    """Call the method that is for an event."""
    match event:
        case events.Received(message):
            await listener.received(message)
        case events.Attached(hello):
            await listener.attached(hello)
        case events.Dropped(gap):
            await listener.dropped(gap)
        case events.Joined(peers):
            await listener.joined(peers)
        case events.Waiting(wait):
            await listener.waiting(wait)
        case events.Delivered():
            await listener.delivered()
        case events.Refused(message, error):
            await listener.refused(message, error)
        case events.Failed(problem) | events.Lost(problem):
            await listener.failed(problem)
