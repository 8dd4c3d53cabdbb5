"""Route protocol: request/response and streams of wire version 2."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from remote_kernel.core.errors import PoolUnreachable, WireError

A = TypeVar("A")
T = TypeVar("T")


class Body(Protocol):
    """An answer whose end has not come yet."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come; raises `PoolError` or `Broke` when the connection breaks."""


class Route(Protocol):
    """Carries requests of wire version 2 to the pod of one identifier.

    Attributes:
        stale_seconds: silence for this long means that an open stream is dead; `None` where the transport itself
            notices.
        piece_bytes: how large the body of one request or answer should be at most.
        should_compress: whether both ends should compress what they send: the way leaves this machine, and does not do
            it itself.
    """

    @property
    def stale_seconds(self) -> float | None: ...

    @property
    def piece_bytes(self) -> int: ...

    @property
    def should_compress(self) -> bool: ...

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = ...,
    ) -> dict[str, Any]:  # fmt: skip
        """Send a request and return the JSON object of the answer; raises `PoolError`."""

    def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AbstractAsyncContextManager[Body]:  # fmt: skip
        """Send a request and give the answer with its body unread; raises `PoolError`."""

    def drop_idle(self) -> None:
        """Close the connections that no request uses: the way they take may be gone."""

    async def aclose(self) -> None:
        """Close every connection."""


def understood(read: Callable[[A], T], answer: A) -> T:
    """Return what `read` makes of an answer; one that it cannot read may be another the next time."""
    try:
        return read(answer)
    except WireError as error:
        raise PoolUnreachable(f"The session sent something unreadable: {error}.") from None
