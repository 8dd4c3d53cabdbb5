"""The link to one kernel in one pod: messages up, events down, over connections that may break at any byte.

Up: each message is numbered by its sender and conditional on the epoch, so that repeating a request cannot run anything
twice. Down: each event has its place in the pod's journal, and a new connection goes on after the last one
passed on. So every failed request can simply be made again.

What is to be done and when, `client.link.machine` decides; this is what does it.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Sequence

from remote_kernel.client.clock import Clock
from remote_kernel.client.http.transport import Broke
from remote_kernel.client.link.events import Attached, OnEvent
from remote_kernel.client.link.following import Connect, Position
from remote_kernel.client.link.keep_alive import KeepAlive
from remote_kernel.client.link.machine import LinkMachine
from remote_kernel.client.link.requests import (
    EventStream,
    ReadLaunch,
    StreamError,
    describe,
    has_left,
    is_gone,
    open_events,
    post,
    post_once,
)
from remote_kernel.client.link.send_queue import SendQueue
from remote_kernel.client.link.states import State
from remote_kernel.client.retry import MakeRoom
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolError, PoolFull, PoolUnreachable, RemoteKernelError
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.stream_merging import Gathering, merge_streams
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.io.arrival import Signal
from remote_kernel.io.tasks import go_on
from remote_kernel.io.watchdog import Watchdog, watched

_log = logging.getLogger(__name__)

_NEVER = float("inf")


class Link:
    """A link to the kernel `kernel` (of `kernelspec`) in the pod of the route's identifier.

    Args:
        route: to the pod.
        position: where an earlier process left off, to go on from there.
        wait_seconds: how long to wait for a free session or an unreachable pool before `Failed`.
        access_seconds: the same where the login has no right to use the pool, or that is not ready.
        has_own_image: whether the pool's sessions run an image of somebody's own, which may not start.
        keepalive_seconds: how long after the last message the pod is kept from cooling down.
        reader: tells this reader from others, also when it comes back as another process; "" for nobody in particular.
        make_room: is called each time when the pool is full.
        read_launch: says how interpreters are to be started; is asked before each new session. What it raises counts as
            an error of the connection.
        workspace: see `watch`.

    Attributes:
        on_event: is called with each event, in order.
        keep_alive: what keeps the pod from cooling down.
    """

    def __init__(
        self, route: Route, on_event: OnEvent, *, kernel: str, kernelspec: str, position: Position | None = None,
        wait_seconds: float, access_seconds: float = 0.0, has_own_image: bool = False, keepalive_seconds: float,
        reader: str = "", make_room: MakeRoom | None = None, read_launch: ReadLaunch | None = None,
        workspace: str = "",
    ) -> None:  # fmt: skip
        self._route = route
        self.on_event = on_event
        # The pod has to know who uses it, to know whether somebody else does.
        self._target = {"kernel": kernel, "kernelspec": kernelspec, "reader": reader or secrets.token_hex(8)}
        self._make_room = make_room
        self._read_launch = read_launch
        self._workspace = workspace
        clock = Clock()
        self.keep_alive = KeepAlive(keepalive_seconds, clock)
        self._machine = LinkMachine(
            position=position,
            wait_seconds=wait_seconds,
            access_seconds=access_seconds,
            has_own_image=has_own_image,
            keep_alive=self.keep_alive,
            clock=clock,
        )
        self._noted = 0  # of the machine's moves
        self._moved = asyncio.Event()  # for the connection
        self._called_for = asyncio.Event()  # for the keep-alive
        self._filled = {queue: Signal() for queue in self._machine.queues}
        self._happened = asyncio.Event()  # for the owner
        self._telling = asyncio.Lock()
        self._is_handing_over = False
        self._watchdog: Watchdog | None = None  # of the connection, where there is one

    @property
    def position(self) -> Position | None:
        """Return where the link is; `None` before it was first attached and after the session was lost."""
        return self._machine.following.position

    @property
    def may_leave_session(self) -> bool:
        """Return whether a call may have taken a session that the link does not follow.

        That is a pod that has not answered yet, or the new one that was there when the link came back for one that is
        gone.
        """
        return self.position is None and self._machine.may_have_taken and not self.keep_alive.has_cooled_down

    @property
    def is_attached(self) -> bool:
        return self._machine.state is State.ATTACHED

    @property
    def is_wanted(self) -> bool:
        """Return whether the link is up or tries to be."""
        return self._machine.is_wanted

    @property
    def peers(self) -> int:
        """Return how many other kernels follow the same interpreter."""
        return self._machine.following.peers

    @property
    def waiting_bytes(self) -> int:
        """Return how much of what was sent the pod has not accepted."""
        return self._machine.queues.bytes

    def open(self) -> None:
        """Attach without a message to send, as a successor of a process that died does."""
        self._machine.open()
        self._note()

    def send(self, message: wire.Message, *, behind: wire.Channel | None = None, is_use: bool = True) -> None:
        """Queue a message, behind those of its channel or of another one; it is sent as soon as the link is up.

        Args:
            is_use: whether it shows that somebody uses the session, so that the pod is kept.
        """
        channel = message.channel if behind is None else behind
        self._machine.send(message, channel, is_use=is_use)
        self._filled[self._machine.queues[channel]].set()
        self._note()

    async def send_now(self, message: wire.Message) -> str:
        """Send one message outside the queues, once, and return the epoch after it, "" where the pod does not tell.

        For the last words of a process that has no time to wait; raises `PoolError` when they did not arrive.
        """
        if self.position is None:
            raise PoolUnreachable("There is no session.")
        return await post_once(self._route, self._target, message, self.position.epoch)

    def watch(self, workspace: str) -> None:
        """Ask the pod to say behind each cell what has changed in a folder there (`FilesChanged`).

        Args:
            workspace: path of the folder; "." for the data folder, "" for none.
        """
        if workspace != self._workspace:
            self._workspace = workspace
            self._machine.reconnect()
            self._note()

    def start_anew(self) -> None:
        """Take whatever interpreter is there for the right one, as after a restart that was asked for."""
        self._machine.start_anew()
        self._note()

    def rest(self) -> None:
        """Stay down until the next message: reaching for the pod would take a session for a notebook nobody uses."""
        self._machine.rest()
        self._note()

    def give_up(self) -> None:
        """Stop trying to attach, and drop what was to be sent."""
        self.forget_unsent()
        self.rest()

    def forget_unsent(self, *channels: wire.Channel) -> list[wire.Message]:
        """Drop the messages that the pod has not accepted, of all channels or of some, and return them."""
        return self._machine.queues.clear(*channels)

    async def run(self) -> None:
        """Do the link's work until cancelled; raises what any part of it fails with, as none is of use by itself."""
        self._machine.resume()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(self._connect()))
            tasks.create_task(go_on(self._call()))
            tasks.create_task(go_on(self._tell()))
            for queue, filled in self._filled.items():
                tasks.create_task(go_on(self._post(queue, filled)))

    def _note(self) -> None:
        """Have everything done that follows from what the machine was told."""
        if not self._machine.is_read:
            self._happened.set()
        self._note_state()

    def _note_state(self) -> None:
        if self._noted == self._machine.moves:
            return
        self._noted = self._machine.moves
        self._moved.set()
        self._called_for.set()
        for filled in self._filled.values():
            filled.set()
        # The owner's work in the connection's task is not to be interrupted, and ends it by itself.
        if self._watchdog is not None and not self._machine.is_open and not self._is_handing_over:
            self._watchdog.feed(0.0)

    # The owner

    async def _tell(self) -> None:
        """Tell the owner what happens beside the connection."""
        while True:
            self._happened.clear()
            await self._tell_all()
            await self._happened.wait()

    async def _tell_all(self) -> None:
        """Return when the owner has dealt with all that has happened."""
        async with self._telling:
            is_new = self._machine.following.position is None
            while (event := self._machine.next_event()) is not None:
                if isinstance(event, Attached):
                    seconds = time.monotonic() - self.keep_alive.called_at
                    _log.info(LogEvent("attached", seconds=seconds, is_new=is_new))
                try:
                    await self.on_event(event)
                except asyncio.CancelledError:
                    self._machine.take_back()
                    raise
                self._note_state()
        self._note_state()

    # Down

    async def _connect(self) -> None:
        """Keep an event stream open while one is wanted."""
        while True:
            self._moved.clear()
            step = self._machine.next_connection()
            if isinstance(step, float):
                await _wait(self._moved, step)
                continue
            self._note()
            try:
                await self._read_events(step)
            except (RemoteKernelError, Broke, OSError) as error:
                await self._note_failure(error)

    async def _note_failure(self, error: StreamError) -> None:
        problem, room = describe(error), None
        if self._machine.is_open:
            problem = self._machine.recognise(problem)
            self._log_break(problem)
            if self.is_attached:
                self._route.drop_idle()  # the way they take is most likely gone as well
            if isinstance(problem, PoolFull) and self._make_room is not None:
                room = await self._make_room()
        self._machine.stream_failed(problem, is_sent=has_left(error), room=room)
        self._note()

    def _log_break(self, error: RemoteKernelError) -> None:
        """Log that a stream has ended, or that none could be had."""
        is_news = self.is_attached or not self._machine.is_outage
        what = "connection lost" if self.is_attached else "not attached"
        _log.log(logging.INFO if is_news else logging.DEBUG, LogEvent(what, error=error.name, text=str(error)))

    async def _read_events(self, connect: Connect) -> None:
        """Follow one event stream until it has ended as planned, or is not wanted any more."""
        async with watched() as watchdog:
            self._watchdog = watchdog
            try:
                if connect.asks_first:
                    if await is_gone(self._route):
                        self._machine.session_missed()
                        self._note()
                    if not self._machine.is_open:
                        return  # it is gone, or nobody wants it any more
                target, workspace = self._target, self._workspace
                async with open_events(self._route, target, connect, self._read_launch, workspace=workspace) as stream:
                    await self._read(stream, watchdog)
            finally:
                self._watchdog = None

    async def _read(self, stream: EventStream, watchdog: Watchdog) -> None:
        chunks, gathering = stream.body.chunks(), Gathering()
        while self._machine.is_open:
            watchdog.feed(self._route.stale_seconds or _NEVER)
            chunk = await anext(chunks, b"")
            watchdog.rest()
            if not chunk:
                raise PoolUnreachable("The connection to the session ended.")
            for frames in stream.decoder.batches(chunk):
                merged = merge_streams(frames)
                await self._hand_over(merged)
                # Others have their turn in a flood, also where the owner waits for nothing.
                pause = gathering.passed(frames, merged, time.monotonic())
                if pause or len(frames) == codec.FRAMES_AT_ONCE:
                    await asyncio.sleep(pause)

    async def _hand_over(self, frames: Sequence[wire.Frame]) -> None:
        """Return when the owner has dealt with the frames, as nothing more is to be read before; raises `WireError`
        then where they were not as they should be."""
        self._is_handing_over = True
        try:
            try:
                self._machine.read(frames)
            finally:
                await self._tell_all()
        finally:
            self._is_handing_over = False

    # Up

    async def _post(self, queue: SendQueue, filled: Signal) -> None:
        while True:
            filled.clear()
            step = self._machine.next_post(queue)
            self._note()
            if isinstance(step, float):
                await _wait(filled, step)
                continue
            self.keep_alive.note_call()
            compresses = self._machine.following.takes_compressed and self._route.should_compress
            try:
                await post(
                    self._route, self._target, step.batch, sender=step.sender, epoch=step.epoch, compresses=compresses
                )
            except RemoteKernelError as error:
                self._machine.post_failed(queue, step, error, is_sent=has_left(error))
            else:
                self._machine.accepted(queue, step)
            self._note()

    async def _call(self) -> None:
        """Call the pod often enough that the pool does not take it for idle."""
        while True:
            self._called_for.clear()
            seconds = self._machine.next_call()
            self._note_state()
            if seconds:
                await _wait(self._called_for, seconds)
                continue
            with contextlib.suppress(PoolError):
                await self._route.request("GET", wire.SESSION_PATH)


async def _wait(event: asyncio.Event | Signal, seconds: float) -> None:
    """Wait until the event or for so long, whichever comes first."""
    if seconds == _NEVER:
        await event.wait()
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
