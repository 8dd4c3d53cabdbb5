"""Attachment of the link, for what has to wait until it is up."""

import asyncio

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire import frames as wire


class Attachment:
    """Told of the link's state, and asked for it.

    Attributes:
        hello: what the pod said of itself when the link was last up.
    """

    def __init__(self) -> None:
        self.hello: wire.Hello | None = None
        self._awaited: asyncio.Future[None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Return whether a command waits."""
        return self._awaited is not None and not self._awaited.done()

    def expect(self) -> asyncio.Future[None]:
        """Return what ends when the link is up, or with a `RemoteKernelError`. One at a time may wait for it."""
        self._awaited = asyncio.get_running_loop().create_future()
        return self._awaited

    def forget(self) -> None:
        self._awaited = None

    def succeed(self, hello: wire.Hello) -> None:
        """Note that the link is up."""
        self.hello = hello
        if self._awaited is not None and self.is_awaited:
            self._awaited.set_result(None)

    def fail(self, error: RemoteKernelError) -> bool:
        """Note that the link is down for good; whether somebody waited, who has the error now."""
        if self._awaited is None or not self.is_awaited:
            return False
        self._awaited.set_exception(error)
        return True
