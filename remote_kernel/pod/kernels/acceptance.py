"""Acceptance of clients' messages: each one once, in order, and only in the epoch that it is meant for."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from remote_kernel.core.journal.journal import Journal
from remote_kernel.core.jupyter.messages import Header, parse_header
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.pod.kernels.cells import ALL_SEEN
from remote_kernel.pod.kernels.lives import Lives
from remote_kernel.pod.kernels.senders import Senders

T = TypeVar("T")


class Acceptance:
    """Has the messages of all senders passed on, one after another.

    Args:
        pass_on: passes on one message for an epoch; raises `EpochMismatch`, `UnknownKernel` or `StartFailed`.
        waits: whether something has to be waited for in passing on such messages.
    """

    def __init__(
        self, lives: Lives, journal: Journal,
        pass_on: Callable[[Message, Header, str], Awaitable[None]], waits: Callable[[Sequence[Header]], bool],
    ) -> None:  # fmt: skip
        self._lives = lives
        self._journal = journal
        self._pass_on = pass_on
        self._waits = waits
        self._senders = Senders()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def accept(self, messages: Sequence[Message], *, sender: str, epoch: str) -> int:
        """Pass on the messages that are new; return how many there were.

        Every sender counts its messages from 1. What was accepted before is not accepted again, so a client may
        repeat a request whose answer it did not get. It goes on when its caller is cancelled, as a request is that a
        repeated one takes the place of: half a restart would be worse than a late one.

        Raises:
            EpochMismatch: `epoch` is not the current one, or no longer; what was passed on before counts as accepted.
            SenderForgotten: it is not known whether they were accepted before; nothing was passed on.
            WireError: the sender's count has a hole, or a message has no readable header.
            UnknownKernel, StartFailed: see `Lifecycle.interpreter`; what was passed on before counts as accepted.
        """
        headers = [parse_header(message.parts[0]) for message in messages]
        accepting = self._accept(messages, headers, sender, epoch)
        if self._lock.locked() or self._waits(headers):
            return await self.see_through(accepting)
        return await accepting

    async def _accept(self, messages: Sequence[Message], headers: Sequence[Header], sender: str, epoch: str) -> int:
        async with self._lock:
            pairs = [
                (message, header)
                for message, header in zip(messages, headers, strict=True)
                if self._senders.is_new(sender, message.sequence)
            ]
            if not pairs:
                return 0
            self._lives.check(epoch)
            # A shutdown that is repeated is for an epoch that is over.
            unsafe = [message for message, header in pairs if header.msg_type != "shutdown_request"]
            self._senders.check(sender, [message for message, _ in pairs], unsafe)
            for message, header in pairs:
                await self._pass_on(message, header, epoch)
                # Behind it: what could not be passed on may come again.
                self._senders.note(sender, message.sequence, self._journal.last_sequence)
            return len(pairs)

    async def request(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Pass on a message of the agent's own, which is not counted: the agent is no sender that may repeat itself.

        Raises:
            EpochMismatch, UnknownKernel, StartFailed: see `accept`.
        """
        async with self._lock:
            message = Message(channel=channel, parts=parts, seen=ALL_SEEN)
            await self._pass_on(message, parse_header(parts[0]), self._lives.epoch)

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end, also where who asked for it is gone."""
        return await asyncio.shield(self.keep(work))

    def keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something in a task of its own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
