"""Send queue of one channel: numbers, batches and drops messages."""

import asyncio
import secrets
from collections import deque
from dataclasses import replace

from remote_kernel.core.wire import frames as wire

# One POST; a message larger than this goes alone.
MAX_BATCH_BYTES = 4 * 1024 * 1024
# A pod takes more; of small ones so many are on their way in no time.
MAX_BATCH_MESSAGES = 5000


class SendQueue:
    """One ordered way up: the next request is made when the one before has been accepted.

    Attributes:
        bytes: how much is in the queue.
        dropped: is set when what is in the queue now is not to be sent any more; ask for it before waiting.
    """

    def __init__(self) -> None:
        self.queue: deque[wire.Message] = deque()
        self.bytes = 0
        self.filled = asyncio.Event()
        self.dropped = asyncio.Event()
        self._one_by_one = 0
        self._renumber()

    def _renumber(self) -> None:
        self.sender = secrets.token_hex(8)
        self._count = 0
        dropped, self.dropped = self.dropped, asyncio.Event()
        dropped.set()

    def put(self, message: wire.Message, seen: int) -> None:
        """Queue a message; `seen` is what the front end has been shown."""
        self._count += 1
        numbered = wire.Message(channel=message.channel, parts=message.parts, sequence=self._count, seen=seen)
        self.queue.append(numbered)
        self.bytes += message.size
        self.filled.set()

    def batch(self) -> list[wire.Message]:
        """Return the messages for the next request; they stay in the queue until `done`."""
        if self._one_by_one:
            return [self.queue[0]] if self.queue else []
        size = 0
        batch: list[wire.Message] = []
        for message in self.queue:
            size += message.size
            if batch and (size > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_MESSAGES):
                break
            batch.append(message)
        return batch

    def see(self, cursor: int) -> None:
        """Say what the front end has been shown, for the messages that came before there was a session."""
        self.queue = deque(replace(message, seen=cursor) for message in self.queue)

    def done(self, count: int) -> None:
        for _ in range(count):
            self.bytes -= self.queue.popleft().size
        self._one_by_one = max(0, self._one_by_one - count)
        if not self.queue:
            self.filled.clear()

    def refuse(self, count: int) -> wire.Message | None:
        """Take out the message that the pod will never accept and return it; the ones around it stay.

        Of several that were refused together it is not known which is at fault: they are then sent one by one.
        """
        if count > 1:
            self._one_by_one = count
            return None
        refused = self.queue.popleft()
        self._one_by_one = max(0, self._one_by_one - 1)
        rest = list(self.queue)
        self.queue.clear()
        self.bytes = 0
        self._renumber()  # the refused one's number would be a hole
        for message in rest:
            self.put(message, message.seen)
        if not self.queue:
            self.filled.clear()
        return refused

    def clear(self) -> list[wire.Message]:
        """Drop what was not accepted and return it; the sender changes its name, as its numbers now have a hole."""
        dropped = list(self.queue)
        self.queue.clear()
        self.bytes = 0
        self.filled.clear()
        self._one_by_one = 0
        self._renumber()
        return dropped
