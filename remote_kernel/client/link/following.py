"""Following of a pod's journal: where a link is in it, and what the pod has said of itself."""

from typing import NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire import frames as wire

# An event stream that broke sooner, and brought nothing, is no reason to believe that the next one lasts.
HELD_SECONDS = 2.0


class Position(NamedTuple):
    """Position of a link: the epoch that it follows, and its cursor in the journal."""

    epoch: str
    cursor: int


class Connect(NamedTuple):
    """Order to ask the pod for its events.

    Attributes:
        after: the position to go on from; `None` for whatever is there.
        may_compress: whether compressed frames may be asked for.
        asks_first: whether the pool is to be asked first whether it still has the session, as connecting would take
            another one.
    """

    after: Position | None
    may_compress: bool
    asks_first: bool = False


class Following:
    """State of a link's way down. All times are in seconds, monotonic where nothing else is said.

    Attributes:
        position: behind what the owner was given last; `None` before the link was first attached and after the session
            was lost.
        peers: how many other kernels follow the same interpreter.
        takes_compressed: whether the agent does.
        trusts_compression: whether what the agent compresses can be read.
        heard_at: when it was last heard of, in seconds since 1970; 0 for never.
        attached_at: when it last began a stream.
    """

    def __init__(self, position: Position | None) -> None:
        self.position = position
        self.peers = 0
        self.takes_compressed = False
        self.trusts_compression = True
        self.heard_at = 0.0
        self.attached_at = 0.0
        self._attached_to: Position | None = None
        self._before_us = 0  # what was said up to here is no answer to anything that was sent through this link
        self._has_greeted = False

    @property
    def epoch(self) -> str:
        """The epoch that is followed; "" for none."""
        return self.position.epoch if self.position else ""

    @property
    def seen(self) -> int:
        """Return what the front end has been shown, as a position in the journal."""
        return max(self.position.cursor if self.position else 0, self._before_us)

    def begin_stream(self) -> None:
        """Expect a stream from its beginning."""
        self._has_greeted = False

    def check(self, frame: wire.Frame) -> None:
        """Raise `WireError` unless a stream may go on with this frame."""
        if isinstance(frame, wire.Hello) == self._has_greeted:
            raise WireError("a stream has one Hello, at its beginning")
        self._has_greeted = True

    def attach(self, hello: wire.Hello, now: float) -> bool:
        """Note that a stream has begun; return whether this is the first of its journal, as far as the link knows."""
        self.peers = 0
        self.takes_compressed = hello.takes_compressed
        is_new = self.position is None
        if self.position is None:
            self.position = Position(epoch=hello.epoch, cursor=hello.cursor)
        if is_first := is_new or self._attached_to is None:
            self._before_us = max(hello.cursor, hello.last)
        self.attached_at, self._attached_to = now, self.position
        return is_first

    def advance(self, sequence: int) -> bool:
        """Move the cursor; return whether there is anything new at `sequence`."""
        position = self.position
        if position is None or sequence <= position.cursor:
            return False
        self.position = Position(position.epoch, sequence)
        return True

    def has_held(self, now: float) -> bool:
        """Return whether the stream was of use."""
        return self.position != self._attached_to or now - self.attached_at >= HELD_SECONDS
