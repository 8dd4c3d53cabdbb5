"""State machine of a link, without I/O and without waiting.

It is told of the calls of the owner, of the frames and the ends of the event stream, and of the answers to posts. It is
asked for the work that follows: the next connection, the next post of each queue, the next call to keep the pod, the
next event for the owner. Where there is none, the answer is how long that is so if nothing happens.

Down: each event has its place in the pod's journal, and the position moves on when the owner takes it. So a connection
may be lost at any byte, and the next one goes on after what the owner has taken. Up: see `SendQueue`.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable

from remote_kernel.client.clock import Clock
from remote_kernel.client.link import events
from remote_kernel.client.link.following import Connect, Following, Position
from remote_kernel.client.link.keep_alive import KeepAlive
from remote_kernel.client.link.loss import interpreter_gone, pod_gone
from remote_kernel.client.link.send_queue import Post, SendQueue
from remote_kernel.client.link.send_queues import SendQueues
from remote_kernel.client.link.states import OPEN, WANTED, State, move
from remote_kernel.client.retry import (
    MIN_BACKOFF_SECONDS,
    NEVER_READY_SECONDS,
    Budget,
    Retry,
    Room,
    describe_wait,
    first_contact,
    when_given_up,
    without_word,
)
from remote_kernel.core.errors import (
    Forbidden,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    SessionLost,
    Unauthorized,
    WireError,
)
from remote_kernel.core.wire import frames as wire

_NEVER = float("inf")

# The owner takes all that was sent before one of these for unanswered.
_ENDINGS = (events.Failed, events.Lost)
# The owner may drop what is behind.
_REFUSALS = (events.Refused, *_ENDINGS)

# Streams that end as planned last minutes. To one that was over sooner the link comes back no faster than this, as a
# pod does not decide how often it is called.
MIN_STREAM_SECONDS = 0.5


class LinkMachine:
    """The state of one link.

    Args:
        position: where an earlier process left off, to go on from there.
        wait_seconds: how long to wait for a free session or an unreachable pool.
        access_seconds: how long to go on where the login has no right to use the pool so far, or that is not ready.
        has_own_image: whether the pool's sessions run an image of somebody's own, which may not start.
        keep_alive: says whether the pod is to be kept when nothing is to be sent.
        chance: returns a number between 0 and 1.

    Attributes:
        queues: what is to be sent.
        following: where the link is in the pod's journal.
        due_at: when to connect, where the state is `WAITING` (seconds, monotonic).
        may_have_taken: whether the pool may have taken a session for this link since the last one was given back.
        moves: grows whenever there may be something else to do: the state has changed, or whether messages may be sent.
    """

    def __init__(
        self, *, position: Position | None, wait_seconds: float, access_seconds: float = 0.0,
        has_own_image: bool = False, keep_alive: KeepAlive, clock: Clock, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.state = State.IDLE
        self.queues = SendQueues(chance)
        self.following = Following(position)
        self.may_have_taken = False
        self.moves = 0
        self._wait_seconds = wait_seconds
        self._access_seconds = access_seconds
        self._has_own_image = has_own_image
        self._has_had_session = position is not None
        self._is_full = False
        self._keep_alive = keep_alive
        self._clock = clock
        self._retry = Retry(chance)
        self._events: deque[events.Event] = deque()
        self._told: events.Event | None = None  # the owner is dealing with it
        self._refusals = 0  # events that the owner has not dealt with, behind which nothing may be sent
        self._frames: deque[wire.Frame] = deque()
        self.due_at = 0.0
        self._had_taken = False
        self._is_awaited = False  # the owner has opened it, and has not heard of it since

    @property
    def is_open(self) -> bool:
        """Return whether there is to be a connection, or a try to make one; else one that is there is to be closed."""
        return self.state in OPEN

    @property
    def is_wanted(self) -> bool:
        """Return whether the link is up or tries to be."""
        return self.state in WANTED

    @property
    def is_outage(self) -> bool:
        """Return whether a try to connect has failed since the last that did not."""
        return self._retry.has_begun

    @property
    def is_idle(self) -> bool:
        """Return whether there is nothing to send and the pod need not be kept."""
        return not (self._keep_alive.is_wanted or not self.queues.are_empty)

    def _move(self, to: State) -> None:
        self.state = move(self.state, to)
        self.moves += 1
        self._is_awaited = self._is_awaited and to in (State.WAITING, State.CONNECTING)
        if to not in OPEN:
            self._frames.clear()  # they were not taken, and so come again

    # What the owner does

    def open(self, *, is_use: bool = True) -> None:
        """Attach without a message to send."""
        if is_use:
            self._keep_alive.note_use()
        if not self.is_wanted:
            self._connect_at(self._clock.monotonic())
        self._is_awaited = self.state is not State.ATTACHED

    def _connect_at(self, when: float) -> None:
        self._move(State.WAITING)
        self.due_at = when

    def send(self, message: wire.Message, behind: wire.Channel, *, is_use: bool = True) -> None:
        """Queue a message behind those of a channel; `is_use` says whether it shows that somebody uses the session."""
        self.queues[behind].put(message, self.following.seen)
        self.open(is_use=is_use)

    def rest(self) -> None:
        """Stay down until the next message."""
        self._retry.succeed(for_good=False)
        if self.state is not State.IDLE:
            self._move(State.IDLE)

    def start_anew(self) -> None:
        """Take whatever interpreter is there for the right one."""
        self.rest()
        self.following.position, self.may_have_taken = None, False
        self.queues.clear()  # a new pod does not know the senders, and expects them to count from 1

    def reconnect(self) -> None:
        """Ask for the events anew, if there is a connection: there is something else to be asked for with them."""
        if self.is_open:
            self._connect_at(self._clock.monotonic())

    def resume(self) -> None:
        """Go on after a pause in which nothing was done: what was under way then has ended unheard."""
        self.queues.interrupt()
        self.reconnect()

    # The connection, and what it brings

    def next_connection(self) -> Connect | float:
        """Return the order to connect, or in how many seconds one is due."""
        if self.state is not State.WAITING:
            return _NEVER
        left = self.due_at - self._clock.monotonic()
        if left > 0:
            return left
        self._move(State.CONNECTING)
        self.following.begin_stream()
        has_cooled_down = self._keep_alive.has_cooled_down
        self._keep_alive.note_call()
        self._had_taken, self.may_have_taken = self.may_have_taken, True
        may_be_gone = self._is_full or has_cooled_down  # a full pool lets in who has a session
        return Connect(
            after=self.following.position,
            may_compress=self.following.trusts_compression,
            asks_first=may_be_gone and self.following.position is not None,
        )

    def read(self, frames: Iterable[wire.Frame]) -> None:
        """Take frames for the owner; raises `WireError` behind those that are as they should be."""
        self.following.heard_at = self._clock.wall()
        is_open = self.is_open
        for frame in frames:
            self.following.check(frame)
            if is_open:
                self._frames.append(frame)

    @property
    def is_read(self) -> bool:
        """Return whether the owner has all events."""
        return not (self._frames or self._events)

    def next_event(self) -> events.Event | None:
        """Return the next event for the owner, who by asking says that the one before is dealt with."""
        while self._frames and not self._events:
            self._take(self._frames.popleft())
        if self._refusals and isinstance(self._told, _REFUSALS):
            self._refusals -= 1
            self.moves += 1
        self._told = told = self._events.popleft() if self._events else None
        if self._refusals and isinstance(told, _ENDINGS):
            late = self.queues.clear()  # what was sent before the owner knew
            if late and isinstance(told, events.Failed):
                self._told = told = told._replace(unsent=(*told.unsent, *late))
        return told

    def take_back(self) -> None:
        """Take back the event that the owner was told last and has not dealt with: it comes next."""
        if self._told is not None:
            self._events.appendleft(self._told)
            self._told = None

    def _take(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Message():
                if self.following.advance(frame.sequence):
                    self._tell(events.Received(frame))
            case wire.Hello():
                self._attach(frame)
            case wire.Gap():
                if self.following.advance(frame.last):
                    self._tell(events.Dropped(frame))
            case wire.Peers():
                self.following.peers = frame.count
                self._tell(events.Joined(frame.count))
            case wire.Files():
                if self.following.advance(frame.sequence):
                    self._tell(events.FilesChanged(frame))
            case wire.EpochChange():
                if self.following.advance(frame.sequence):
                    self._change_epoch(frame)
            case wire.End():
                self._end(frame)

    def _attach(self, hello: wire.Hello) -> None:
        self._move(State.ATTACHED)
        self._has_had_session, self._is_full = True, False
        self._keep_alive.cooldown_seconds = hello.cooldown_seconds
        self.queues.believe()
        if self.following.attach(hello, self._clock.monotonic()):
            self.queues.see(self.following.seen)
        self._tell(events.Attached(hello))

    def _change_epoch(self, change: wire.EpochChange) -> None:
        loss = interpreter_gone(change, self._clock.wall())
        if change.reason == "shutdown":  # there is nothing left to follow
            self.may_have_taken = False
            self._lose(loss)
            return
        self.following.position = Position(epoch=change.epoch, cursor=change.sequence)
        self.queues.clear()
        self._tell(events.Lost(loss))

    def _end(self, end: wire.End) -> None:
        """Note that the pod has ended the stream."""
        if end.reason != "cap":
            self.may_have_taken = False
            self._lose(pod_gone(self.following.heard_at))
            return
        self._retry.succeed()
        if self.is_idle:
            self.rest()
        else:
            self._connect_at(self.following.attached_at + MIN_STREAM_SECONDS)

    def session_missed(self) -> None:
        """Note that the pool says that it has no session for this link, which has not taken one either."""
        if self.is_open:
            self.may_have_taken = False
            self._lose(pod_gone(self.following.heard_at))

    def recognise(self, error: RemoteKernelError) -> RemoteKernelError:
        """Return what an error of the connection is taken for, once for each, before `stream_failed` is told of it.

        Who has a session is let in, also by a full pool: there, a fault is a fault, or says that the session is gone.
        """
        recognised = self._retry.recognise(error)
        return error if self.following.epoch else recognised

    def stream_failed(self, error: RemoteKernelError, *, is_sent: bool = True, room: Room | None = None) -> None:
        """Note that there is no connection, or that it broke.

        Args:
            is_sent: whether the request may have left this machine.
            room: what was done against a full pool.
        """
        if not self.is_open:
            return  # it was to be closed
        if self.state is State.ATTACHED:
            self._retry.succeed(for_good=self.following.has_held(self._clock.monotonic()))
        if isinstance(error, PoolRefused) and error.code == wire.EPOCH_MISMATCH and self.following.epoch:
            self._lose(pod_gone(self.following.heard_at))  # before any epoch was named, it is a refusal as any other
            return
        is_full, self._is_full = self._is_full, isinstance(error, PoolFull) or self._retry.seems_full
        if isinstance(error, PoolFull | PoolNotReady | Unauthorized | Forbidden):
            self.may_have_taken = False
        elif not is_sent:
            self.may_have_taken = self._had_taken
        elif isinstance(error, WireError):
            self.following.trusts_compression = False  # an agent that compresses more than ours may be read without
            error = PoolUnreachable(f"The session sent something unreadable: {error}.")
        is_first = self._is_awaited and not self.following.epoch
        if not self.is_idle and self._is_full and not is_full and self.following.epoch:
            # The pool is asked first then: nobody need wait for another session to hear that this one is gone.
            self._connect_at(self._clock.monotonic() + MIN_BACKOFF_SECONDS)
        elif is_first or not self.is_idle:
            self._wait_out(error, room)
        else:
            self._rest_unheard(error)

    def _rest_unheard(self, error: RemoteKernelError) -> None:
        """Stay down, as nothing is to be sent; who waits for the link is told why."""
        was_awaited = self._is_awaited
        self.rest()
        if was_awaited:
            self._fail(error)

    def _wait_out(self, error: RemoteKernelError, room: Room | None) -> None:
        """Try again in a while, or give up."""
        now = self._clock.monotonic()
        room = None if room is None else self._retry.note_room(room, now)
        wait = self._retry.next_wait(error, now, self._budget)
        may_be_broken = (
            self._has_own_image and not self._has_had_session and self._retry.seconds_full(now) >= NEVER_READY_SECONDS
        )
        if wait is None:
            self._retry.succeed(for_good=False)
            self._move(State.FAILED)
            if self.following.epoch:
                error = without_word(error, self._fault_seconds)
            self._fail(when_given_up(error, self._wait_seconds, may_be_broken=may_be_broken))
        else:
            self._connect_at(now + wait)
            self._tell(events.Waiting(describe_wait(error, room, may_be_broken=may_be_broken)))

    @property
    def _budget(self) -> Budget:
        """Bounds on trying again: none for the silence of a session in which a cell may be running."""
        if self.following.epoch:
            return Budget(full_seconds=self._wait_seconds, fault_seconds=self._fault_seconds)
        return first_contact(self._wait_seconds, 0.0 if self._has_had_session else self._access_seconds)

    @property
    def _fault_seconds(self) -> float:
        """Seconds for which a pool may have a fault: by then it has taken the session, as nobody has called."""
        return max(self._wait_seconds, self._keep_alive.cooldown_seconds)

    def _lose(self, loss: SessionLost) -> None:
        self._move(State.LOST)
        self.following.position = None
        self.queues.clear()
        self._tell(events.Lost(loss))

    def _fail(self, error: RemoteKernelError) -> None:
        self._tell(self.queues.fail(error))

    def _tell(self, event: events.Event) -> None:
        if self._events and isinstance(event, events.Waiting) and isinstance(self._events[-1], events.Waiting):
            self._events.pop()  # the newer one says it all
        if isinstance(event, _REFUSALS):
            self._refusals += 1
            self.moves += 1
        self._events.append(event)

    # The send queues

    @property
    def may_post(self) -> bool:
        """Return whether messages may be sent: the pod is there, and the owner has dealt with what was refused."""
        return self.state is State.ATTACHED and not self._refusals

    def next_post(self, queue: SendQueue) -> Post | float:
        """Return the next request with messages of a queue, or in how many seconds one is due."""
        now, epoch = self._clock.monotonic(), self.following.epoch
        if not (epoch and self.is_wanted):
            return _NEVER
        doubt = self.queues.next_doubt(epoch, now)
        if doubt == 0:
            self._lose(pod_gone(self.following.heard_at))
            return _NEVER
        return queue.next_post(epoch, now) if self.may_post else doubt

    def accepted(self, queue: SendQueue, post: Post) -> None:
        """Note that the pod has accepted a request, now or before."""
        if queue.accepted(post):
            self._tell(events.Delivered())

    def post_failed(self, queue: SendQueue, post: Post, error: RemoteKernelError, *, is_sent: bool = True) -> None:
        """Note that the pod has not accepted a request, as far as is known.

        Args:
            is_sent: whether the request may have left this machine.
        """
        if event := self.queues.failed(queue, post, error, self._clock.monotonic(), is_sent=is_sent):
            self._tell(event)

    # The keep-alive

    def next_call(self) -> float:
        """Return in how many seconds to call the pod, so that the pool does not take it for idle; 0 for now."""
        if self.state is not State.ATTACHED:
            return _NEVER
        left = self._keep_alive.seconds_to_call()
        if left > 0:
            return left
        if self.is_idle:
            return self._keep_alive.interval_seconds
        if self._keep_alive.has_cooled_down:  # the machine was asleep: a call would take another session
            self.reconnect()
            return _NEVER
        self._keep_alive.note_call()
        return 0.0
