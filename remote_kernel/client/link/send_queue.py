"""Send queue of one channel: numbers, batches and drops messages, and says when the next request is due."""

import secrets
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from remote_kernel.client.retry import Retry
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire import frames as wire

# One POST; a message larger than this goes alone.
MAX_BATCH_BYTES = 4 * 1024 * 1024
# A pod takes more; of small ones so many are on their way in no time.
MAX_BATCH_MESSAGES = 5000


class Post(NamedTuple):
    """A request with messages.

    Attributes:
        sender: numbers them, so that each is accepted once.
        epoch: the interpreter that they are for; no other one accepts them.
    """

    batch: tuple[wire.Message, ...]
    sender: str
    epoch: str


class SendQueue:
    """One ordered way up: the next request is made when the one before has been accepted.

    Attributes:
        bytes: how much is in the queue.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self.bytes = 0
        self._retry = Retry(chance)
        self._queue: deque[wire.Message] = deque()
        self._one_by_one = 0
        self._post: Post | None = None  # the one that is under way
        self._doubtful = 0  # the oldest, which an earlier request may have brought
        self._due_at = 0.0
        self._renumber()

    def __len__(self) -> int:
        return len(self._queue)

    def _renumber(self) -> None:
        """Go on under another name, as the numbers of this one have a hole."""
        self._sender = secrets.token_hex(8)
        self._count = 0

    def put(self, message: wire.Message, seen: int) -> None:
        """Queue a message; `seen` is what the front end has been shown."""
        self._count += 1
        self._queue.append(wire.Message(message.channel, message.parts, self._count, seen))
        self.bytes += message.size

    def see(self, cursor: int) -> None:
        """Say what the front end has been shown, for the messages that came before there was a session."""
        self._queue = deque(message._replace(seen=cursor) for message in self._queue)

    def next_post(self, epoch: str, now: float) -> Post | float:
        """Return the next request, or how many seconds there is none; one at a time is under way."""
        if self._post is not None or not self._queue:
            return float("inf")
        if now < self._due_at:
            return self._due_at - now
        self._post = Post(batch=self._batch(), sender=self._sender, epoch=epoch)
        return self._post

    def _batch(self) -> tuple[wire.Message, ...]:
        """Return the messages for the next request; they stay in the queue until they are accepted."""
        if self._one_by_one:
            return (self._queue[0],)
        size = 0
        batch: list[wire.Message] = []
        for message in self._queue:
            size += message.size
            if batch and (size > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_MESSAGES):
                break
            batch.append(message)
        return tuple(batch)

    def accepted(self, post: Post) -> bool:
        """Note that the pod has what was posted, or had it already; return whether that was waited for."""
        self._post = None
        was_waited_for = self._retry.has_begun
        self._retry.succeed()
        if self._sender == post.sender:
            for _ in post.batch:
                self.bytes -= self._queue.popleft().size
            self._one_by_one = max(0, self._one_by_one - len(post.batch))
            self._doubtful = max(0, self._doubtful - len(post.batch))
        return was_waited_for

    def failed(self, post: Post, *, is_certain: bool) -> bool:
        """Note that the pod has not accepted what was posted, or not for certain; return whether it is still to be
        sent."""
        if not is_certain:
            self._doubtful = self._count_doubtful()
        self._post = None
        return self._sender == post.sender

    def _count_doubtful(self) -> int:
        """Return how many of the oldest messages the pod may have accepted, with those that are on their way."""
        if self._post is not None and self._post.sender == self._sender:
            return max(self._doubtful, len(self._post.batch))
        return self._doubtful

    @property
    def has_doubtful(self) -> bool:
        """Return whether the pod may have accepted any of the messages."""
        return self._count_doubtful() > 0

    @property
    def unsent(self) -> list[wire.Message]:
        """The messages that the pod has certainly not accepted."""
        return list(self._queue)[self._count_doubtful() :]

    def retry(self, error: RemoteKernelError, now: float) -> bool:
        """Post again in a while if that may help against the error of the last request; return whether it may."""
        wait = self._retry.next_wait(error, now)
        if wait is not None:
            self.hold(now + wait)
        return wait is not None

    def hold(self, until: float) -> None:
        """Post nothing of what is in the queue before then (seconds, monotonic)."""
        self._due_at = until

    def interrupt(self) -> None:
        """Note that nobody hears any more what became of the request that is under way: it is made again."""
        self._doubtful = self._count_doubtful()
        self._post = None

    def refuse(self, count: int) -> wire.Message | None:
        """Take out the message that the pod will never accept and return it; the ones around it stay.

        Of several that were refused together it is not known which is at fault: they are then sent one by one.
        """
        if count > 1:
            self._one_by_one = count
            return None
        refused, *rest = self._queue
        one_by_one, doubtful = max(0, self._one_by_one - 1), max(0, self._doubtful - 1)
        self.clear()  # the refused one's number would be a hole
        self._one_by_one, self._doubtful = one_by_one, doubtful
        for message in rest:
            self.put(message, message.seen)
        return refused

    def clear(self) -> list[wire.Message]:
        """Drop what was not accepted and return it; what is sent next does not wait as it did."""
        dropped = list(self._queue)
        self._queue.clear()
        self.bytes = 0
        self._one_by_one = self._doubtful = 0
        self._due_at = 0.0
        self._renumber()
        return dropped
