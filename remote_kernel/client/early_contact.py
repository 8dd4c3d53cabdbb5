"""Early contact with a pool: what a first cell would wait for beside its session is got before anything needs it."""

import asyncio

from remote_kernel.client.access import Access, ConfiguredAccess
from remote_kernel.client.http.transport import Transport
from remote_kernel.io.tasks import start


class EarlyContact:
    """A token, and connections that are open; neither names a session.

    What cannot be had is left to whoever needs it, and told there.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._transport: Transport | None = None
        self._warming: asyncio.Task[None] | None = None
        self._has_begun = False

    def begin(self) -> None:
        """Begin, unless that was done before; to a pool on this machine there is no way that would take time."""
        access = self._access
        if self._has_begun or not isinstance(access, ConfiguredAccess):
            return
        self._has_begun = True
        access.prepare()
        if not access.is_here:
            self._transport = access.open_transport()
            self._warming = start(self._transport.warm_up(), "early contact")

    def take_transport(self) -> Transport | None:
        """Return the connections, once, to whoever sends requests; `None` where there are none."""
        transport, self._transport = self._transport, None
        return transport

    async def aclose(self) -> None:
        """Close what nobody has taken."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        if self._transport is not None:
            await self._transport.aclose()
