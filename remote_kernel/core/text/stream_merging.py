"""Printed text that has piled up, in fewer messages.

A front end that gets a message for each line falls behind a cell that flushes each line, and Jupyter Server shows
nothing any more of what comes faster than 1,000 messages a second.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from remote_kernel.core.wire.frames import Channel, Frame, Message

# Larger texts cost more to put together than their messages cost one by one.
MAX_TEXT_BYTES = 16 * 1024
# Much more at once makes a page stutter.
MAX_MERGED_BYTES = 64 * 1024

# Half of what Jupyter Server lets through in a second, on average over three, before it shows no more.
MAX_PER_SECOND = 500
# How long more is waited for beyond that; 20 times a second is as often as anybody reads.
GATHER_SECONDS = 0.05
# For so long nobody waits again where it has not helped, as where a cell prints to stdout and stderr in turn.
VAIN_SECONDS = 1.0

# A quotation mark within a JSON string is escaped, so this cannot be the text of another field.
_TYPE = re.compile(rb'"msg_type": ?"stream"')
# The content as jupyter_client and most others write it; the text stays the JSON string that it is. Whatever looks
# different is left alone.
_CONTENT = re.compile(rb'(\{"name": ?"(?:stdout|stderr)", ?"text": ?")([^"\\]*(?:\\.[^"\\]*)*)"\}')


class _Printed(NamedTuple):
    """A short `stream` message: its content is `opening`, then `text`, then the end of both."""

    message: Message
    opening: bytes
    text: bytes

    def is_like(self, other: "_Printed") -> bool:
        """Return whether both have the same parent, metadata and name."""
        return self.message.parts[1:3] == other.message.parts[1:3] and self.opening == other.opening


def merge_streams(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return the frames with runs of `stream` messages of one parent and one name put together.

    Only neighbours are merged, so that nothing overtakes anything. What is merged has the header of its first message
    and the sequence number of its last.

    Args:
        frames: what has arrived at once; one that came alone is not looked at.
    """
    if len(frames) < 2 or _count(frames) < 2:
        return frames
    merged: list[Frame] = []
    run: list[_Printed] = []
    size = 0
    for frame in frames:
        printed = _parse(frame)
        if run and (printed is None or size + len(printed.text) > MAX_MERGED_BYTES or not printed.is_like(run[0])):
            merged.append(_put_together(run))
            run, size = [], 0
        if printed is None:
            merged.append(frame)
        else:
            run.append(printed)
            size += len(printed.text)
    return [*merged, _put_together(run)] if run else merged


class Gathering:
    """Says when to wait for more printed text to put together, so that a front end gets a limited number of messages.

    The first `MAX_PER_SECOND` messages wait for nothing, however fast they come.
    """

    def __init__(self) -> None:
        self._room = float(MAX_PER_SECOND)
        self._at = 0.0
        self._has_waited = False
        self._vain_until = 0.0

    def passed(self, before: Sequence[Frame], after: Sequence[Frame], now: float) -> float:
        """Note that the frames `before` were merged to `after`; return how long to wait for more, in seconds.

        Args:
            now: in seconds, monotonic.
        """
        count = _count(after)
        if not count:
            self._has_waited = False
            return 0.0
        if self._has_waited and 2 * count > _count(before):
            self._vain_until = now + VAIN_SECONDS
        refilled = min(MAX_PER_SECOND, self._room + (now - self._at) * MAX_PER_SECOND)
        self._room, self._at = max(0.0, refilled - count), now
        self._has_waited = self._room == 0.0 and now >= self._vain_until
        return GATHER_SECONDS if self._has_waited else 0.0


def _count(frames: Sequence[Frame]) -> int:
    """Return how many messages of printed text there are, put together or not."""
    return sum(map(_is_print, frames))


def _is_print(frame: Frame) -> bool:
    return (
        isinstance(frame, Message)
        and frame.channel is Channel.IOPUB
        and _TYPE.search(frame.parts[0]) is not None
        and len(frame.parts[3]) <= MAX_MERGED_BYTES
    )


def _parse(frame: Frame) -> _Printed | None:
    """Return a short `stream` message; `None` for everything else."""
    if not isinstance(frame, Message) or frame.channel is not Channel.IOPUB or len(frame.parts) != 4:
        return None
    header, _, _, content = frame.parts
    if len(content) > MAX_TEXT_BYTES or not _TYPE.search(header):
        return None
    found = _CONTENT.fullmatch(content)
    return found and _Printed(frame, found[1], found[2])


def _put_together(run: Sequence[_Printed]) -> Message:
    first, last = run[0], run[-1].message
    if first.message is last:
        return last
    content = b"".join((first.opening, *(printed.text for printed in run), b'"}'))
    return last._replace(parts=(*first.message.parts[:3], content))
