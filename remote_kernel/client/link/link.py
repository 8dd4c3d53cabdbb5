"""The link to one kernel in one pod: messages up, events down, over connections that may break at any byte.

Up: each message is numbered by its sender and conditional on the epoch, so that repeating a request cannot run anything
twice. Down: each event has its place in the pod's journal, and a new connection goes on after the last one
passed on. So every failed request can simply be made again.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from dataclasses import dataclass

from remote_kernel.client.http.pool_client import ALLOCATE_SECONDS
from remote_kernel.client.http.transport import Broke, NoConnection
from remote_kernel.client.link.keep_alive import KeepAlive
from remote_kernel.client.link.listener import Listener
from remote_kernel.client.link.loss import interpreter_gone, pod_gone
from remote_kernel.client.link.messages import post, post_once
from remote_kernel.client.link.send_queue import SendQueue
from remote_kernel.client.retry import (
    Budget,
    MakeRoom,
    Retry,
    describe_wait,
    first_contact,
    when_given_up,
)
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import (
    Forbidden,
    PoolError,
    PoolFull,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    SessionLost,
    Unauthorized,
    WireError,
)
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.stream_merging import Gathering, merge_streams
from remote_kernel.core.wire import frames as wire
from remote_kernel.io.tasks import go_on
from remote_kernel.io.watchdog import watched

_log = logging.getLogger(__name__)

# After a refusal the event stream says why, if it is alive.
EXPLANATION_SECONDS = 1.0

# An event stream that broke sooner, and brought nothing, is no reason to believe that the next one lasts.
HELD_SECONDS = 2.0

# Streams that end as planned last minutes. To one that was over sooner the link comes back no faster than this, as a
# pod does not decide how often it is called.
MIN_STREAM_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Position of a link: the epoch that it follows, and its cursor in the journal."""

    epoch: str
    cursor: int


class Link:
    """A link to the kernel `kernel` (of `kernelspec`) in the pod of the client's identifier.

    Args:
        pool: the way to the pod.
        position: where an earlier process left off, to go on from there.
        wait_seconds: how long to wait for a free session or an unreachable pool before `Listener.failed`.
        keepalive_seconds: how long after the last message the pod is kept from cooling down.
        reader: tells this reader from others, also when it comes back as another process; "" for nobody in particular.
        make_room: is called each time when the pool is full.

    Attributes:
        warmth: what keeps the pod from cooling down.
        peers: how many other kernels follow the same interpreter.
    """

    def __init__(
        self, pool: Route, listener: Listener, *, kernel: str, kernelspec: str, position: Position | None = None,
        wait_seconds: float, keepalive_seconds: float, reader: str = "", make_room: MakeRoom | None = None,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._listener = listener
        # The pod has to know who uses it, to know whether somebody else does.
        self._target = {"kernel": kernel, "kernelspec": kernelspec, "reader": reader or secrets.token_hex(8)}
        self._make_room = make_room
        self._position = position
        self._wait_seconds = wait_seconds
        self._send_queues = {wire.Channel.SHELL: SendQueue(), wire.Channel.CONTROL: SendQueue()}
        self._send_queues[wire.Channel.STDIN] = self._send_queues[wire.Channel.SHELL]
        self._wanted = asyncio.Event()
        self._attached = asyncio.Event()
        self._moved = asyncio.Event()
        self._given_up = asyncio.Event()
        self._attached_at = 0.0
        self._attached_to: Position | None = None
        self._before_us = 0  # what was said up to here is no answer to anything that was sent through this link
        self._heard_at = 0.0
        self._takes_compressed = False
        self._trusts_compression = True
        self._may_have_taken = False
        self.keep_alive = KeepAlive(keepalive_seconds)
        self.peers = 0

    @property
    def position(self) -> Position | None:
        """Return where the link is; `None` before it was first attached and after the session was lost."""
        return self._position

    @property
    def may_leave_session(self) -> bool:
        """Return whether a call may have taken a session that the link does not follow.

        That is a pod that has not answered yet, or the new one that was there when the link came back for one that is
        gone.
        """
        return self._position is None and self._may_have_taken and not self.keep_alive.has_cooled_down

    @property
    def is_attached(self) -> bool:
        return self._attached.is_set()

    @property
    def is_wanted(self) -> bool:
        """Return whether the link is up or tries to be."""
        return self._wanted.is_set()

    @property
    def waiting_bytes(self) -> int:
        """Return how much of what was sent the pod has not accepted."""
        return sum(send_queue.bytes for send_queue in set(self._send_queues.values()))

    def open(self) -> None:
        """Attach without a message to send, as a successor of a process that died does."""
        self.keep_alive.note_use()
        self._wanted.set()

    def send(self, message: wire.Message, *, behind: wire.Channel | None = None) -> None:
        """Queue a message, behind those of its channel or of another one; it is sent as soon as the link is up."""
        seen = self._position.cursor if self._position else 0
        self._send_queues[message.channel if behind is None else behind].put(message, max(seen, self._before_us))
        self.open()

    async def send_now(self, message: wire.Message) -> str:
        """Send one message outside the queues, once, and return the epoch after it, "" where the pod does not tell.

        For the last words of a process that has no time to wait; raises `PoolError` when they did not arrive.
        """
        if self._position is None:
            raise PoolUnreachable("There is no session.")
        return await post_once(self._pool, self._target, message, self._position.epoch)

    def start_anew(self) -> None:
        """Take whatever interpreter is there for the right one, as after a restart that was asked for."""
        self.rest()
        self._position, self._may_have_taken = None, False
        self.forget_unsent()  # a new pod does not know the senders, and expects them to count from 1

    def rest(self) -> None:
        """Stay down until the next message: reaching for the pod would take a session for a notebook nobody uses."""
        self._attached.clear()
        self._wanted.clear()

    def give_up(self) -> None:
        """Stop trying to attach, and drop what was to be sent."""
        self.forget_unsent()
        self._wanted.clear()
        self._given_up.set()

    def forget_unsent(self, *channels: wire.Channel) -> list[wire.Message]:
        """Drop the messages that the pod has not accepted, of all channels or of some, and return them."""
        send_queues = {self._send_queues[channel] for channel in channels or self._send_queues}
        return [message for send_queue in send_queues for message in send_queue.clear()]

    async def run(self) -> None:
        """Do the link's work until cancelled; raises what any part of it fails with, as none is of use by itself."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(self._follow()))
            tasks.create_task(go_on(self._keep_warm()))
            for send_queue in set(self._send_queues.values()):
                tasks.create_task(go_on(self._carry(send_queue)))

    # Down

    async def _follow(self) -> None:
        """Keep an event stream open while it is wanted."""
        retry = Retry()
        while True:
            await self._wanted.wait()
            self._given_up.clear()
            problem: PoolError | None = None
            try:
                await self._read_events()
                retry.succeed()
            except PoolError as error:
                self._note_break(error, retry)
                problem = error
            except (RemoteKernelError, OSError) as error:
                self._attached.clear()
                await self._fail(error if isinstance(error, RemoteKernelError) else PoolUnreachable(str(error)))
                continue
            if self._is_idle():
                self.rest()
            elif problem is not None:
                await self._wait_out(problem, retry)
            else:
                await _wait_for(self._given_up, self._attached_at + MIN_STREAM_SECONDS - time.monotonic())

    def _note_break(self, error: PoolError, retry: Retry) -> None:
        was_attached = self._attached.is_set()
        is_news = was_attached or not retry.has_begun
        _log.log(logging.INFO if is_news else logging.DEBUG, describe_break(error, was_attached))
        self._attached.clear()
        if was_attached:
            self._pool.drop_idle()  # the way they take is most likely gone as well
            retry.succeed(for_good=self._has_held())

    async def _wait_out(self, problem: PoolError, retry: Retry) -> None:
        """Wait until it is time to try again, or give up."""
        room = None
        if isinstance(problem, PoolFull) and self._make_room is not None:
            room = retry.note_room(await self._make_room(), time.monotonic())
        pause = retry.next_wait(problem, time.monotonic(), self._budget())
        if pause is not None:
            await self._listener.waiting(describe_wait(problem, room))
            await _wait_for(self._given_up, pause)
        else:
            retry.succeed(for_good=False)
            await self._fail(when_given_up(problem, self._wait_seconds))

    def _has_held(self) -> bool:
        """Return whether the event stream was of use before it broke."""
        return self._position != self._attached_to or time.monotonic() - self._attached_at >= HELD_SECONDS

    def _is_idle(self) -> bool:
        return not (self.keep_alive.is_wanted or any(send_queue.queue for send_queue in self._send_queues.values()))

    def _budget(self) -> Budget:
        """Return how long to go on trying: for ever where a cell may be running in the session."""
        return first_contact(self._wait_seconds) if self._position is None else Budget(full_seconds=self._wait_seconds)

    async def _fail(self, problem: RemoteKernelError) -> None:
        self._wanted.clear()
        self._attached.clear()
        if isinstance(problem, SessionLost):
            if self._position is None:  # it has been told; what was sent since then is for the next session
                if any(send_queue.queue for send_queue in self._send_queues.values()):
                    self._wanted.set()
                return
            self._position = None
            self._moved.set()
        self.forget_unsent()
        await self._listener.failed(problem)

    async def _read_events(self) -> None:
        """Follow one event stream to its planned end; raises `PoolError` when it breaks."""
        params = dict(self._target)
        if self._position is not None:
            params |= {"epoch": self._position.epoch, "after": str(self._position.cursor)}
        compresses = self._pool.should_compress and self._trusts_compression
        if compresses:
            params[wire.COMPRESS_PARAM] = wire.COMPRESS_ZLIB
        # A pod that is there answers at once, one that has to be made may take minutes.
        read_seconds = ALLOCATE_SECONDS if self._position is None else wire.STALE_SECONDS
        decoder, gathering = wire.FrameDecoder(allows_compressed=compresses), Gathering()
        has_greeted = False
        self.keep_alive.note_call()
        had_taken, self._may_have_taken = self._may_have_taken, True
        try:
            async with (
                watched() as watchdog,
                self._pool.stream("GET", wire.EVENTS_PATH, params=params, read_seconds=read_seconds) as response,
            ):
                chunks = response.chunks()
                while True:
                    watchdog.feed(self._pool.stale_seconds or float("inf"))
                    chunk = await anext(chunks, b"")
                    watchdog.rest()
                    if not chunk:
                        raise PoolUnreachable("The connection to the session ended.")
                    self._heard_at = time.time()
                    for frames in decoder.batches(chunk):
                        merged = merge_streams(frames)
                        for frame in merged:
                            if isinstance(frame, wire.Hello) == has_greeted:
                                raise WireError("a stream has one Hello, at its beginning")
                            has_greeted = True
                            if not isinstance(frame, wire.End):
                                await self._take(frame)
                            elif frame.reason == "cap":
                                return
                            else:
                                self._may_have_taken = False
                                raise pod_gone(self._heard_at)
                        # Others have their turn in a flood, also where the listener waits for nothing.
                        pause = gathering.passed(frames, merged, time.monotonic())
                        if pause or len(frames) == wire.FRAMES_AT_ONCE:
                            await asyncio.sleep(pause)
        except PoolRefused as error:
            if error.code == wire.EPOCH_MISMATCH and (has_greeted or "epoch" in params):
                raise pod_gone(self._heard_at) from None
            raise  # before any epoch was named, it is a refusal as any other
        except (PoolFull, Unauthorized, Forbidden):
            self._may_have_taken = False
            raise
        except PoolUnreachable as error:
            if isinstance(error.__cause__, NoConnection):  # nothing has left this machine
                self._may_have_taken = had_taken
            raise
        except TimeoutError:
            raise PoolUnreachable("The session has sent nothing for too long.") from None
        except Broke as error:
            raise PoolUnreachable(f"The connection to the session broke: {error}.") from error
        except WireError as error:
            self._trusts_compression = False  # an agent that compresses more than ours may be read without
            raise PoolUnreachable(f"The session sent something unreadable: {error}.") from error

    async def _take(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Message():
                if self._advance(frame.sequence):
                    self.keep_alive.note_use()
                    await self._listener.received(frame)
            case wire.Hello():
                self.peers = 0
                self._takes_compressed = frame.takes_compressed
                self.keep_alive.cooldown_seconds = frame.cooldown_seconds
                if is_new := self._position is None:
                    self._position = Position(epoch=frame.epoch, cursor=frame.cursor)
                if is_new or self._attached_to is None:
                    self._before_us = max(frame.cursor, frame.last)
                    for send_queue in set(self._send_queues.values()):
                        send_queue.see(self._before_us)
                _log.info(LogEvent("attached", seconds=time.monotonic() - self.keep_alive.called_at, is_new=is_new))
                self._attached_at, self._attached_to = time.monotonic(), self._position
                await self._listener.attached(frame)
                self._attached.set()
            case wire.Gap():
                if self._advance(frame.last):
                    await self._listener.dropped(frame)
            case wire.Peers():
                self.peers = frame.count
                await self._listener.joined(frame.count)
            case wire.EpochChange():
                if self._advance(frame.sequence):
                    await self._change_epoch(frame)

    def _advance(self, sequence: int) -> bool:
        """Move the cursor; whether there is anything new at `sequence`."""
        if self._position is None or sequence <= self._position.cursor:
            return False
        self._position = Position(epoch=self._position.epoch, cursor=sequence)
        return True

    async def _change_epoch(self, change: wire.EpochChange) -> None:
        # Of a kernel that was shut down there is nothing left to follow; the stream ends behind this.
        is_closed = change.reason == "shutdown"
        self._may_have_taken = not is_closed
        self._position = None if is_closed else Position(epoch=change.epoch, cursor=change.sequence)
        if is_closed:
            self._attached.clear()
        self._moved.set()
        self.forget_unsent()
        await self._listener.failed(interpreter_gone(change))

    # Up

    async def _carry(self, send_queue: SendQueue) -> None:
        retry = Retry()
        while True:
            await send_queue.filled.wait()
            await self._attached.wait()
            batch, sender, dropped, position = send_queue.batch(), send_queue.sender, send_queue.dropped, self._position
            if position is None:
                self._attached.clear()  # there is nobody to send it to; the next stream sets it
            if not batch or position is None:
                continue
            try:
                self.keep_alive.note_call()
                compresses = self._takes_compressed and self._pool.should_compress
                await post(self._pool, self._target, batch, sender=sender, epoch=position.epoch, compresses=compresses)
            except RemoteKernelError as error:
                if send_queue.sender != sender:
                    continue  # dropped meanwhile, and whoever sent it has been told
                wait = retry.next_wait(error, time.monotonic())
                if wait is not None:
                    await self._listener.waiting(describe_wait(error))
                    await _wait_for(dropped, wait)
                else:
                    await self._note_refusal(error, send_queue, len(batch), position.epoch)
                continue
            if retry.has_begun:
                await self._listener.delivered()
            retry.succeed()
            if send_queue.sender == sender:
                send_queue.done(len(batch))

    async def _note_refusal(self, error: RemoteKernelError, send_queue: SendQueue, count: int, epoch: str) -> None:
        if isinstance(error, PoolRefused) and error.code != wire.EPOCH_MISMATCH:
            if refused := send_queue.refuse(count):
                await self._listener.refused(refused, error)
        else:
            await self._refuse(error, epoch)

    async def _refuse(self, error: RemoteKernelError, epoch: str) -> None:
        """Nothing of the batch was accepted, and nothing else would be."""
        if not isinstance(error, PoolRefused):
            self.forget_unsent()
            await self._listener.failed(error)
            return
        self._moved.clear()
        if self._is_at(epoch):
            await _wait_for(self._moved, EXPLANATION_SECONDS)  # the event stream has told what happened
        if self._is_at(epoch):
            await self._fail(pod_gone(self._heard_at))

    def _is_at(self, epoch: str) -> bool:
        return self._position is not None and self._position.epoch == epoch

    async def _keep_warm(self) -> None:
        """Call the pod often enough that the pool does not take it for idle."""
        while True:
            await self._attached.wait()
            pause = self.keep_alive.seconds_to_call()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._is_idle():
                await asyncio.sleep(self.keep_alive.interval_seconds)
            else:
                self.keep_alive.note_call()
                with contextlib.suppress(PoolError):
                    await self._pool.request("GET", wire.SESSION_PATH)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event or for so long, whichever comes first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def describe_break(error: PoolError, was_attached: bool) -> LogEvent:
    """Return the event for a stream that has ended, or that could not be had."""
    return LogEvent("connection lost" if was_attached else "not attached", error=error.name, text=str(error))
