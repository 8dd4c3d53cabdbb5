"""Bounded queue of iopub messages: a slow front end slows the session and takes no memory."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import zmq

from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.io.tasks import go_on
from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.kernel.frontend import subscribers
from remote_kernel.kernel.frontend.timings import Timings

_log = logging.getLogger(__name__)

# Of the messages that ZeroMQ holds for the slowest subscriber (`sockets.MAX_MESSAGES`), parts from this size on are
# counted in bytes, so that no more than 32 MB of small parts escape the count …
COUNTED_PART_BYTES = 16 * 1024
# … and how many counted bytes may be on their way before the next message has to wait.
MAX_BYTES = 32 * 1024 * 1024

# ZeroMQ has no event that says that a publisher may go on.
LOOK_AGAIN_SECONDS = 0.01
# How often to look for subscribers that do not read, while messages are held back.
LOOK_ROUND_SECONDS = 0.25

# Front ends subscribe to everything; the topic is for people who look at the wire.
TOPIC = b"remote"

# Anybody can subscribe, as often and to as much as they like. What comes at once is read in portions, a hundred of them
# in a second at most: each may have a welcome that all who listen get.
MAX_READ_AT_ONCE = 1_000
READ_AGAIN_SECONDS = 0.01

# What a frame begins with that says so of the topic behind it.
SUBSCRIBES, UNSUBSCRIBES = b"\x01", b"\x00"


class IopubQueue:
    """Sends to the subscribers of an XPUB socket, in order, nothing dropped, to each a welcome before anything else.

    Args:
        socket: as `Sockets` makes it. Until somebody subscribes, what is sent is gone, as with any kernel.
        welcome: returns the message for who has subscribed to a topic (JEP 65); only asked for those that `TOPIC`
            begins with, as others hear nothing of us.
    """

    def __init__(self, socket: ZmqSocket, welcome: Callable[[bytes], list[bytes]], timings: Timings) -> None:
        self.is_heard = asyncio.Event()
        self._socket = socket
        self._welcome = welcome
        self._strange = Tally()
        self._unwelcomed: set[bytes] = set()  # topics of those who are to hear a welcome before anything else
        self._is_turn_of_waiting = False
        self._waiting: deque[Sequence[bytes | zmq.Frame]] = deque()
        self._on_the_way: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._bytes = 0
        self._is_held = asyncio.Event()
        self._patience = subscribers.Patience(timings)
        self._looked_at = 0.0

    async def serve(self) -> None:
        """Welcome subscribers, and send what had to wait, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(self._admit_all()))
            tasks.create_task(go_on(self._send_held()))

    def put(self, frames: Sequence[bytes | zmq.Frame]) -> None:
        """Send one message now, or as soon as there is room; never waits."""
        if sum(map(len, frames)) >= COUNTED_PART_BYTES:
            frames = [self._count(frame) for frame in frames]
        self._waiting.append(frames)
        self._flush()

    @property
    def has_room(self) -> bool:
        """Return whether another message may come."""
        if self._waiting or self._unwelcomed:
            return False
        while self._on_the_way and self._on_the_way[0][0].done:
            self._bytes -= self._on_the_way.popleft()[1]
        return self._bytes < MAX_BYTES

    async def room(self) -> None:
        """Return when another message may come; whoever sends much waits here first."""
        while not self.has_room:
            self._is_held.set()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def close(self) -> None:
        """Forget what is waiting."""
        self._waiting.clear()
        self._unwelcomed.clear()

    # Who listens

    async def _admit_all(self) -> None:
        while True:
            if self.admit():
                await asyncio.sleep(READ_AGAIN_SECONDS)
            else:
                await self._socket.wait_arrival()

    def admit(self) -> bool:
        """Let in those who have subscribed, and welcome them; whether there may be more to read."""
        if self._waiting and self._is_turn_of_waiting:
            return True
        frames = list(islice(iter(self._take_subscription, None), MAX_READ_AT_ONCE))
        if not frames:  # and nothing is sent, which could take away the news of those who come now
            return False
        topics = {frame[1:] for frame in frames if frame[:1] == SUBSCRIBES}
        if topics:
            self.is_heard.set()
        if self._strange.count:  # then somebody is in whose subscription is still to be read
            topics.add(b"")
        self._unwelcomed.update(filter(TOPIC.startswith, topics))
        self._flush()
        return True

    def _take_subscription(self) -> bytes | None:
        frame = self._socket.take_frame()
        if frame is None:
            return None
        # This lets its sender in; but behind a frame that is no subscription, which anybody may send, it is whoever
        # waits longest. So all are let in, to everything: what it does not want, a subscriber leaves out itself.
        self._socket.zmq.setsockopt(zmq.SUBSCRIBE, b"")
        if frame[:1] not in {SUBSCRIBES, UNSUBSCRIBES} and self._strange.add():
            _log.warning(
                LogEvent("message refused", channel="iopub", reason="no subscription", count=self._strange.count)
            )
        return frame

    # What is to be sent

    def _count(self, frame: bytes | zmq.Frame) -> bytes | zmq.Frame:
        if len(frame) < COUNTED_PART_BYTES or isinstance(frame, zmq.Frame):
            return frame
        counted = zmq.Frame(frame, track=True, copy=False, copy_threshold=COUNTED_PART_BYTES)
        assert counted.tracker is not None
        self._on_the_way.append((counted.tracker, len(frame)))
        self._bytes += len(frame)
        return counted

    def _flush(self) -> None:
        """Send what there is room for: welcomes first, and then what waits, before anybody else is let in."""
        try:
            while self._unwelcomed:
                topic = min(self._unwelcomed)
                self._socket.send(self._welcome(topic))
                self._unwelcomed.remove(topic)
                self._is_turn_of_waiting = True
            while self._waiting:
                self._socket.send(self._waiting[0])
                self._waiting.popleft()
                self._is_turn_of_waiting = False
        except zmq.Again:
            self._is_held.set()

    async def _send_held(self) -> None:
        while True:
            await self._is_held.wait()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            self._flush()
            if self.has_room:
                self._is_held.clear()
                self._patience.reset()
            else:
                self._cut_off_stuck(time.monotonic())

    def _cut_off_stuck(self, now: float) -> None:
        """End the connections of those who do not read, where somebody waits for what is held back for them."""
        if now - self._looked_at < LOOK_ROUND_SECONDS:
            return
        self._looked_at = now
        endpoint = bytes(self._socket.zmq.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        stuck = self._patience.find_stuck(subscribers.look(endpoint), now)
        if stuck:
            _log.warning(
                LogEvent("subscribers cut off", count=len(stuck), reason="they have not read what others wait for")
            )
            subscribers.cut_off(endpoint, stuck)
