"""Flow control: an interpreter that outruns its readers is held until they have caught up. Plain decisions; `now` is
any clock in seconds."""

import math
from dataclasses import dataclass

# A kernel whose reader is so far behind is held until the reader is nearly there.
HOLD_BYTES = 32 * 1024 * 1024
GO_BYTES = 8 * 1024 * 1024

# A reader that takes nothing for so long, as in a laptop that sleeps, holds nobody: the kernel goes on, and the journal
# keeps what it can.
PATIENCE_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Stream:
    """One open stream: how many bytes it is behind, and when it last took some."""

    took_at: float
    behind: int = 0


class FlowControl:
    """Decides whether a kernel is to be held.

    Attributes:
        is_held: the decision, which any call may change; while it is true, `look` has to be called now and then.
    """

    def __init__(self) -> None:
        self.is_held = False
        self._streams: set[Stream] = set()
        self._free_until = -math.inf

    def open(self, now: float) -> Stream:
        stream = Stream(now)
        self._streams.add(stream)
        return stream

    def close(self, stream: Stream, now: float) -> None:
        self._streams.remove(stream)
        self.look(now)

    def said(self, size: int, now: float) -> None:
        """The kernel has said so many bytes."""
        is_far_behind = False
        for stream in self._streams:
            stream.behind += size
            is_far_behind = is_far_behind or stream.behind > HOLD_BYTES
        if is_far_behind and not self.is_held:
            self.is_held = now > self._free_until and self._is_outrun(HOLD_BYTES, now)

    def took(self, stream: Stream, size: int, now: float) -> None:
        """A reader has passed on so many bytes, or been told that they were dropped."""
        stream.behind = max(0, stream.behind - size)
        stream.took_at = now
        self.look(now)

    def free(self, now: float) -> None:
        """Let the kernel go on for a while, whoever is behind: it has been interrupted, and must be able to notice."""
        self._free_until = now + PATIENCE_SECONDS
        self.go()

    def go(self) -> None:
        """Hold the kernel no longer."""
        self.is_held = False

    def look(self, now: float) -> None:
        """Let the kernel go on if nobody is far behind who still takes something."""
        self.is_held = self.is_held and self._is_outrun(GO_BYTES, now)

    def _is_outrun(self, behind: int, now: float) -> bool:
        since = now - PATIENCE_SECONDS
        return any(stream.behind > behind and stream.took_at > since for stream in self._streams)
