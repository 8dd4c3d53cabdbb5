"""The link as a machine without a network: every order of what can happen to it, with a simulated pod and a clock that
is set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remote_kernel.client.clock import Clock
from remote_kernel.client.link import events
from remote_kernel.client.link.following import Connect
from remote_kernel.client.link.keep_alive import KeepAlive
from remote_kernel.client.link.machine import LinkMachine
from remote_kernel.client.link.send_queue import Post, SendQueue
from remote_kernel.client.link.send_queues import EXPLANATION_SECONDS
from remote_kernel.client.link.states import MOVES, State
from remote_kernel.client.retry import (
    FIRST_CONTACT_SECONDS,
    MAX_BACKOFF_SECONDS,
    MIN_BACKOFF_SECONDS,
    NEVER_READY_SECONDS,
)
from remote_kernel.core.errors import (
    Forbidden,
    PoolError,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    Unauthorized,
    WireError,
)
from remote_kernel.core.wire import frames as wire

WAIT_SECONDS, KEEPALIVE_SECONDS, RETRY_AFTER_SECONDS = 300.0, 600.0, 7.0

NEVER = float("inf")

CONNECT_ERRORS = [
    None,
    None,
    None,
    PoolFull("full", retry_after_seconds=RETRY_AFTER_SECONDS),
    PoolUnreachable("nothing"),
    PoolRefused("down", status=503),
    Forbidden("no"),
    WireError("nonsense"),
]

FATES = ["arrives", "answer lost", "answer lost", "lost", "takes time", "forbidden", "full", "unauthorized"]

BAD = b"bad "  # how a message begins that no pod takes


@dataclass
class SimulatedPod:
    """A pod with one kernel: its journal, and whose messages it has accepted."""

    name: str
    accepted: list[bytes]
    life: int = 0
    entries: list[wire.Frame] = field(default_factory=list)
    first_kept: int = 1
    is_closed: bool = False
    senders: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> str:
        return f"{self.name}.{self.life}"

    def knows(self, epoch: str) -> bool:
        return epoch in {f"{self.name}.{life}" for life in range(self.life + 1)} and not self.is_closed

    def say(self) -> None:
        sequence = len(self.entries) + 1
        text = f"{self.name}:{sequence}".encode()
        self.entries.append(wire.Message(channel=wire.Channel.IOPUB, parts=(text, b"", b"", b""), sequence=sequence))

    def say_files(self) -> None:
        sequence = len(self.entries) + 1
        files = wire.Files(
            folder=".", cell=self.name, sequence=sequence, is_whole=True, changed=[], removed=[f"{sequence}"]
        )
        self.entries.append(files)

    def begin_life(self, reason: str) -> None:
        self.life += 1
        self.is_closed = reason == "shutdown"
        sequence = len(self.entries) + 1
        self.entries.append(wire.EpochChange(epoch=self.epoch, sequence=sequence, reason=reason, detail=""))

    def drop_oldest(self) -> None:
        last = len(self.entries) - 1
        changes = [each.sequence for each in self.entries if isinstance(each, wire.EpochChange)]
        if last >= self.first_kept and not any(self.first_kept <= number <= last for number in changes):
            self.first_kept = last + 1  # of what changes the epoch each is kept

    def read(self, after: int, count: int) -> Iterator[wire.Frame]:
        if after + 1 < self.first_kept:
            yield wire.Gap(first=after + 1, last=self.first_kept - 1)
            after = self.first_kept - 1
        yield from self.entries[after : after + count]

    def accept(self, post: Post) -> None:
        """Accept what is new of a request; raises as the request fails then."""
        if post.epoch != self.epoch or self.is_closed:
            raise PoolRefused("gone", status=409, code=wire.EPOCH_MISMATCH)
        last = self.senders.get(post.sender, 0)
        new = [message for message in post.batch if message.sequence > last]
        if any(message.parts[0].startswith(BAD) for message in new):
            raise PoolRefused("no", status=400, code="BadRequest")
        assert [message.sequence for message in new] == list(range(last + 1, last + 1 + len(new))), "a hole"
        for message in new:
            self.accepted.append(message.parts[0])
            self.senders[post.sender] = message.sequence


@dataclass
class Stream:
    """An event stream as the shell has it open."""

    pod: SimulatedPod
    cursor: int
    has_greeted: bool = False


class SimulatedLink(RuleBasedStateMachine):
    """A shell that does what the machine says, against a pod, a pool and a network that do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.slept = 1000.0, 0.0
        clock = Clock(monotonic=lambda: self.now, wall=lambda: self.now + self.slept)
        self.keep_alive = KeepAlive(KEEPALIVE_SECONDS, clock)
        self.link = LinkMachine(
            position=None, wait_seconds=WAIT_SECONDS, keep_alive=self.keep_alive, clock=clock, chance=lambda: 0.5
        )
        self.accepted: list[bytes] = []
        self.pods = 0
        self.pod = self.make_pod()
        self.stream: Stream | None = None
        self.posts: dict[SendQueue, Post] = {}
        self.posted: set[bytes] = set()
        self.post_counts = dict.fromkeys(self.link.queues, 0)
        self.refused: dict[bytes, tuple[SendQueue, int]] = {}
        self.sent: list[bytes] = []
        self.unanswered: set[bytes] = set()  # of which the owner knows that they will not be
        self.doomed: set[bytes] = set()  # and those of them that never set out
        self.shown: int | None = None  # the last sequence that the owner has dealt with
        self.connected_at = -1.0
        self.failed_at: dict[SendQueue, float] = {}

    def make_pod(self) -> SimulatedPod:
        self.pods += 1
        return SimulatedPod(f"pod{self.pods}", self.accepted)

    @initialize(is_attached=strategies.booleans())
    def begin(self, is_attached: bool) -> None:
        if is_attached:
            self.link.open()
            self.go_well()

    # The owner

    @rule(is_bad=strategies.sampled_from([False, False, True]), fate=strategies.sampled_from(FATES))
    def send_and_post(self, is_bad: bool, fate: str) -> None:
        self.send(is_bad=is_bad)
        for number in (0, 1):
            self.post(number=number, fate=fate, waits=False)

    @rule(what=strategies.sampled_from(["send", "send bad", "open", "rest", "drop", "start anew", "pause", "watch"]))
    def use(self, what: str) -> None:
        match what:
            case "send" | "send bad":
                self.send(is_bad=what == "send bad")
            case "open":
                self.connected_at = -1.0  # it may connect at once
                self.link.open()
            case "rest":
                self.link.rest()
            case "drop":
                self.note_dropped(self.link.queues.clear())
            case "start anew":
                self.note_dropped(self.link.queues.clear())
                self.link.start_anew()
                self.shown = None
            case "watch":
                self.connected_at = -1.0  # it may connect at once
                self.link.reconnect()
            case "pause":  # the shell ends in the middle of whatever it does, and begins again
                self.stream = None
                self.posts.clear()
                self.connected_at = -1.0
                self.link.resume()

    def send(self, *, is_bad: bool = False) -> None:
        self.connected_at = -1.0  # it may connect at once
        name = (BAD if is_bad else b"") + f"message {len(self.sent)}".encode()
        self.sent.append(name)
        channel = wire.Channel.CONTROL if len(self.sent) % 4 == 3 else wire.Channel.SHELL
        self.link.send(wire.Message(channel=channel, parts=(name, b"", b"", b"")), channel)

    def note_dropped(self, messages: list[wire.Message]) -> None:
        dropped = {message.parts[0] for message in messages}
        self.unanswered |= dropped
        self.doomed |= dropped - self.posted
        self.failed_at.clear()

    @precondition(lambda self: not self.link.is_read)
    @rule(count=strategies.integers(1, 5))
    def take(self, count: int) -> None:
        for _ in range(count):
            event = self.link.next_event()
            if event is not None:
                self.note(event)

    def note(self, event: events.Event) -> None:
        match event:
            case events.Attached(hello):
                if self.shown is None:
                    self.shown = hello.cursor
            case events.Received(message):
                assert self.shown is not None
                assert message.sequence == self.shown + 1, "something is missing, or came twice"
                assert self.link.following.position is not None
                pod, _, _ = self.link.following.position.epoch.partition(".")
                assert message.parts[0] == f"{pod}:{message.sequence}".encode()
                self.shown = message.sequence
            case events.FilesChanged(files):
                assert self.shown is not None
                assert files.sequence == self.shown + 1, "something is missing, or came twice"
                assert self.link.following.epoch.startswith(f"{files.cell}.")
                assert files.removed == [f"{files.sequence}"]
                self.shown = files.sequence
            case events.Dropped(gap):
                assert self.shown is not None
                assert gap.first == self.shown + 1
                self.shown = gap.last
            case events.Refused(message, _):
                assert message.parts[0].startswith(BAD)
                queue, count = self.refused.pop(message.parts[0])
                assert self.post_counts[queue] == count, "what is behind was sent before the owner knew"
                self.note_dropped(self.link.queues.clear(message.channel))
                self.unanswered.add(message.parts[0])
            case events.Lost() | events.Failed():
                if isinstance(event, events.Failed):
                    self.doomed |= {message.parts[0] for message in event.unsent}
                self.unanswered |= set(self.sent)
                self.doomed |= set(self.sent) - self.posted
                self.failed_at.clear()
                if isinstance(event, events.Lost):
                    self.shown = self.link.following.position.cursor if self.link.following.position else None

    # The pod

    @rule(count=strategies.integers(1, 3), brought=strategies.integers(0, 3), is_with_files=strategies.booleans())
    def say(self, count: int, brought: int, is_with_files: bool) -> None:
        for _ in range(count):
            self.pod.say()
        if is_with_files:
            self.pod.say_files()
        if brought and self.stream is not None and self.link.is_open and self.link.is_read:
            self.bring(count=brought, back=0)

    @rule(what=strategies.sampled_from(["drop", "drop", "restart", "died", "shutdown", "replace", "replace unheard"]))
    def change(self, what: str) -> None:
        match what:
            case "drop":
                self.pod.drop_oldest()
            case "restart" | "died" | "shutdown" if not self.pod.is_closed:
                self.pod.begin_life(what)
            case "replace" | "replace unheard":
                if (
                    what == "replace"
                    and self.stream is not None
                    and self.link.is_open
                    and self.stream.has_greeted
                    and self.link.is_read
                ):
                    self.link.read([wire.End(reason="stopping")])
                self.pod = self.make_pod()

    # The network

    @rule(seconds=strategies.sampled_from([0.01, 0.3, 1.0, 2.5, 8.0, 60.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.link.state is State.WAITING)
    @rule(error=strategies.sampled_from(CONNECT_ERRORS), is_sent=strategies.booleans(), waits=strategies.booleans())
    def connect(self, error: RemoteKernelError | None, is_sent: bool, waits: bool) -> None:
        if self.stream is not None:  # the shell closes it first, and says so
            self.stream = None
            self.link.stream_failed(PoolUnreachable("closed"))
        step = self.link.next_connection()
        if isinstance(step, float) and waits:
            self.now += step
            step = self.link.next_connection()
        if isinstance(step, float):
            return
        assert self.now > self.connected_at, "it spins"
        self.connected_at = self.now
        if step.asks_first and is_sent and not self.knows(step):
            self.link.session_missed()
        elif error is not None:
            self.link.stream_failed(self.link.recognise(error), is_sent=is_sent)
        else:
            self.answer(step)

    def knows(self, connect: Connect) -> bool:
        return connect.after is not None and self.pod.knows(connect.after.epoch)

    def answer(self, connect: Connect) -> None:
        if connect.after is not None and not self.pod.knows(connect.after.epoch):
            self.link.stream_failed(PoolRefused("gone", status=409, code=wire.EPOCH_MISMATCH))
            return
        if self.pod.is_closed:
            self.pod = self.make_pod()
        cursor = len(self.pod.entries) if connect.after is None else connect.after.cursor
        self.stream = Stream(self.pod, cursor)

    @precondition(lambda self: self.stream is not None and self.link.is_open and self.link.is_read)
    @rule(count=strategies.integers(1, 4), back=strategies.integers(0, 2))
    def bring(self, count: int, back: int) -> None:
        """Bring some of the journal, and perhaps what was brought before."""
        assert self.stream is not None
        stream = self.stream
        frames: list[wire.Frame] = []
        if not stream.has_greeted:
            stream.has_greeted = True
            frames.append(hello_of(stream))
        else:
            # What was brought before can come again as far as it is kept; what comes instead of the rest is a gap.
            stream.cursor = min(stream.cursor, max(stream.cursor - back, stream.pod.first_kept - 1, 0))
        for frame in stream.pod.read(stream.cursor, count):
            frames.append(frame)
            stream.cursor = frame.last if isinstance(frame, wire.Gap) else frame.sequence  # type: ignore[union-attr]
        self.link.read(frames)

    @precondition(lambda self: self.stream is not None and self.link.is_open and self.link.is_read)
    @rule(is_planned=strategies.booleans())
    def end_stream(self, is_planned: bool) -> None:
        assert self.stream is not None
        if is_planned and self.stream.has_greeted:
            self.link.read([wire.End(reason="cap")])
        else:
            self.link.stream_failed(PoolUnreachable("cut"))
        self.stream = None

    @precondition(lambda self: self.posts or (self.link.is_wanted and not self.link.queues.are_empty))
    @rule(
        number=strategies.integers(0, 1),
        fate=strategies.sampled_from(FATES),
        waits=strategies.booleans(),
    )
    def post(self, number: int, fate: str, waits: bool) -> None:
        """Make the next request of a queue if none is under way, and let that end which is."""
        queue = list(self.link.queues)[number]
        if queue not in self.posts and not self.begin_post(queue, waits=waits):
            return
        if fate != "takes time":
            self.end_post(queue, self.posts.pop(queue), fate)

    def begin_post(self, queue: SendQueue, *, waits: bool) -> bool:
        step = self.link.next_post(queue)
        if isinstance(step, float) and waits and step < NEVER:
            self.now += step
            step = self.link.next_post(queue)
        if isinstance(step, float):
            return False
        assert self.now > self.failed_at.pop(queue, -1.0), "it spins"
        self.posts[queue] = step
        self.post_counts[queue] += 1
        self.posted |= {message.parts[0] for message in step.batch}
        return True

    def end_post(self, queue: SendQueue, post: Post, fate: str) -> None:
        error: RemoteKernelError | None = None
        if fate in ("arrives", "answer lost"):
            try:
                self.pod.accept(post)
            except PoolRefused as refusal:
                error = refusal
        if fate == "forbidden":
            error = Forbidden("no")
        elif fate == "unauthorized":
            error = Unauthorized("no")
        elif fate == "full":
            error = PoolFull("full", retry_after_seconds=RETRY_AFTER_SECONDS)
        elif fate != "arrives":
            error = PoolUnreachable(fate)
        if error is None:
            self.link.accepted(queue, post)
            return
        if isinstance(error, PoolRefused) and error.code != wire.EPOCH_MISMATCH:
            self.refused[post.batch[0].parts[0]] = (queue, self.post_counts[queue])
        self.link.post_failed(queue, post, error)
        is_dropped = post.batch[0].parts[0] in self.unanswered
        if isinstance(error, PoolUnreachable | PoolFull) and not is_dropped:
            self.failed_at[queue] = self.now

    # What must hold

    @invariant()
    def nothing_is_accepted_twice_or_after_it_was_given_up(self) -> None:
        assert len(self.accepted) == len(set(self.accepted))
        assert not self.doomed & set(self.accepted)

    @invariant()
    def what_was_sent_is_accepted_or_queued_or_known_not_to_be_answered(self) -> None:
        if self.link.is_read:
            missing = set(self.sent) - set(self.accepted) - self.unanswered
            assert len(missing) <= sum(map(len, self.link.queues))

    @invariant()
    def a_wait_has_an_end(self) -> None:
        if self.link.state is State.WAITING:
            assert self.link.due_at - self.now <= MAX_BACKOFF_SECONDS + RETRY_AFTER_SECONDS

    @rule()
    def go_down_well(self) -> None:
        """Do what a shell does for the way down where nothing goes wrong."""
        self.take(1000)
        if not self.link.is_open:
            self.stream = None
        if self.stream is not None and self.stream.pod is not self.pod and not self.posts:
            self.end_stream(is_planned=False)  # it was silent for too long
        if self.link.state is State.WAITING:
            self.connect(error=None, is_sent=True, waits=True)
        if self.stream is not None and self.link.is_open and self.link.is_read:
            self.bring(count=1000, back=0)
        self.take(1000)

    def go_well(self) -> None:
        self.go_down_well()
        for number in (0, 1):
            self.post(number=number, fate="arrives", waits=True)

    def teardown(self) -> None:
        """Let everything go well for a while: then all that was said and sent has arrived."""
        self.pass_time(RETRY_AFTER_SECONDS + MAX_BACKOFF_SECONDS)
        for _ in range(4 + 2 * len(self.sent)):
            self.go_well()
            self.pass_time(1.0)
            self.nothing_is_accepted_twice_or_after_it_was_given_up()
            self.what_was_sent_is_accepted_or_queued_or_known_not_to_be_answered()
        if self.link.is_wanted:
            assert self.link.state is State.ATTACHED
            assert self.shown == len(self.pod.entries)
            assert self.link.queues.are_empty
            assert set(self.sent) <= set(self.accepted) | self.unanswered


def hello_of(stream: Stream) -> wire.Hello:
    return wire.Hello(
        epoch=stream.pod.epoch, cursor=stream.cursor, cooldown_seconds=300.0, pod=stream.pod.name, is_busy=False,
        kernel_info={}, last=len(stream.pod.entries),
    )  # fmt: skip


TestSimulatedLink = SimulatedLink.TestCase
TestSimulatedLink.settings = settings(max_examples=120, stateful_step_count=80)


def attached_link() -> SimulatedLink:
    simulated = SimulatedLink()
    simulated.link.open()
    simulated.go_well()
    simulated.go_well()
    assert simulated.link.state is State.ATTACHED
    return simulated


def test_a_refusal_that_the_stream_does_not_explain_in_time_is_a_loss() -> None:
    simulated = attached_link()
    simulated.change("replace unheard")
    simulated.send()
    simulated.post(number=0, fate="arrives", waits=False)
    simulated.post(number=0, fate="arrives", waits=False)
    assert simulated.link.state is State.ATTACHED
    simulated.pass_time(EXPLANATION_SECONDS)
    simulated.post(number=0, fate="arrives", waits=False)
    assert (simulated.link.state, simulated.link.following.position) == (State.LOST, None)
    assert isinstance(simulated.link.next_event(), events.Lost)


def test_a_wait_that_was_given_up_is_not_counted_on_the_next() -> None:
    simulated = SimulatedLink()
    for _ in range(2):
        simulated.send()
        simulated.connect(error=PoolFull("full"), is_sent=True, waits=True)
        assert isinstance(simulated.link.next_event(), events.Waiting)
        simulated.link.queues.clear()
        simulated.link.rest()
        simulated.pass_time(WAIT_SECONDS)


def test_which_call_may_have_taken_a_session() -> None:
    link = SimulatedLink().link
    for error, is_sent, may_have_taken in (
        (PoolUnreachable("not sent"), False, False),
        (PoolUnreachable("sent"), True, True),
        (PoolUnreachable("not sent, but the one before was"), False, True),
        (PoolFull("full"), True, False),
    ):
        link.rest()
        link.open()
        link.next_connection()
        assert link.may_have_taken
        link.stream_failed(error, is_sent=is_sent)
        assert link.may_have_taken is may_have_taken


@pytest.mark.parametrize("keepalive_seconds", [0.0, 600.0])
def test_link_that_nobody_needs_does_not_come_back(keepalive_seconds: float) -> None:
    simulated = attached_link()
    simulated.pass_time(KEEPALIVE_SECONDS - keepalive_seconds)
    simulated.end_stream(is_planned=False)
    assert simulated.link.state is (State.WAITING if keepalive_seconds else State.IDLE)
    assert bool(simulated.link.next_event()) is bool(keepalive_seconds)


def test_message_that_shows_no_use_does_not_keep_the_pod() -> None:
    simulated = attached_link()
    simulated.pass_time(KEEPALIVE_SECONDS)
    message = wire.Message(channel=wire.Channel.CONTROL, parts=(b"poll", b"", b"", b""))
    simulated.link.send(message, message.channel, is_use=False)
    assert not simulated.keep_alive.is_wanted
    simulated.link.send(message, message.channel)
    assert simulated.keep_alive.is_wanted


def test_link_that_somebody_waits_for_does_not_rest_without_a_word() -> None:
    """Where a pod is kept no longer than it is used, nothing but the one who waits asks for it."""
    clock = Clock(monotonic=lambda: 1000.0, wall=lambda: 1000.0)
    link = LinkMachine(position=None, wait_seconds=WAIT_SECONDS, keep_alive=KeepAlive(0.0, clock), clock=clock)
    link.open()
    assert isinstance(link.next_connection(), Connect)
    link.stream_failed(PoolUnreachable("nothing"))
    assert (link.state, type(link.next_event())) == (State.WAITING, events.Waiting)


def test_link_that_somebody_waits_for_says_that_it_does_not_come_back() -> None:
    simulated = attached_link()
    simulated.link.rest()
    simulated.link.open()
    simulated.pass_time(KEEPALIVE_SECONDS)
    simulated.connect(error=PoolUnreachable("nothing"), is_sent=True, waits=False)
    assert simulated.link.state is State.IDLE
    told = []
    while (event := simulated.link.next_event()) is not None:
        told.append(type(event))
    assert told[-1] is events.Failed


def test_every_state_can_be_come_to_and_left() -> None:
    assert set(MOVES) == set(State)
    assert set().union(*MOVES.values()) == set(State)


def test_what_is_behind_a_refused_message_waits_until_the_owner_knows() -> None:
    simulated = attached_link()
    simulated.send(is_bad=True)
    simulated.send()
    for _ in range(2):  # together, and then one by one
        simulated.post(number=0, fate="arrives", waits=False)
    assert simulated.link.next_post(next(iter(simulated.link.queues))) == NEVER
    simulated.take(2)
    assert simulated.link.queues.are_empty, "the owner has dropped it"
    assert simulated.accepted == []


def test_what_waits_for_an_interpreter_does_not_run_in_the_next_one() -> None:
    simulated = attached_link()
    simulated.send()
    simulated.change("restart")
    simulated.bring(count=1, back=0)
    simulated.take(2)
    assert simulated.link.state is State.ATTACHED
    assert simulated.link.queues.are_empty


def test_request_that_nobody_heard_the_end_of_is_made_again_and_runs_once() -> None:
    simulated = attached_link()
    simulated.send()
    simulated.post(number=0, fate="takes time", waits=False)
    ((_, post),) = simulated.posts.items()
    simulated.pod.accept(post)
    simulated.use("pause")
    for _ in range(2):
        simulated.go_well()
    assert simulated.accepted == [b"message 0"]
    assert simulated.link.queues.are_empty


@pytest.mark.parametrize(
    ("before", "is_sent", "may_have_arrived"),
    [
        (None, True, False),
        (PoolUnreachable("cut"), True, True),
        (PoolUnreachable("no connection"), False, False),
        (PoolRefused("a gateway's", status=502), True, True),
        (PoolFull("full"), True, False),
    ],
)
def test_what_an_earlier_request_may_have_brought_is_not_told_as_unsent(
    before: PoolError | None, is_sent: bool, may_have_arrived: bool
) -> None:
    simulated = attached_link()
    link, (queue, _) = simulated.link, simulated.link.queues
    simulated.send()
    if before is not None:
        link.post_failed(queue, next_post(simulated, queue), before, is_sent=is_sent)
        assert isinstance(link.next_event(), events.Waiting)
        simulated.pass_time(MAX_BACKOFF_SECONDS)
    simulated.send()
    link.post_failed(queue, next_post(simulated, queue), Unauthorized("no"))
    simulated.send()  # before the owner has heard of it
    failed = link.next_event()
    assert isinstance(failed, events.Failed)
    unsent = {message.parts[0] for message in failed.unsent}
    assert unsent == set(simulated.sent[1:] if may_have_arrived else simulated.sent)


@pytest.mark.parametrize("code", ["", "BadRequest"])
def test_a_page_that_refuses_what_may_have_arrived_says_nothing_of_it(code: str) -> None:
    """What is behind it would be sent under other numbers, and so run twice; the pod itself knows what it has."""
    simulated = attached_link()
    (queue, _) = simulated.link.queues
    simulated.send()
    simulated.link.post_failed(queue, next_post(simulated, queue), PoolUnreachable("cut"))
    assert isinstance(simulated.link.next_event(), events.Waiting)
    simulated.pass_time(MAX_BACKOFF_SECONDS)
    page = PoolRefused("no such app", status=404, code=code)
    simulated.link.post_failed(queue, next_post(simulated, queue), page)
    told = simulated.link.next_event()
    if code:
        assert isinstance(told, events.Refused)
    else:
        assert told == events.Failed(page, unsent=())


def test_what_is_on_its_way_when_the_stream_fails_is_not_told_as_unsent() -> None:
    simulated = attached_link()
    (queue, _) = simulated.link.queues
    simulated.send()
    next_post(simulated, queue)
    simulated.send()
    simulated.link.stream_failed(Unauthorized("no"))
    failed = simulated.link.next_event()
    assert isinstance(failed, events.Failed)
    assert [message.parts[0] for message in failed.unsent] == simulated.sent[1:]


def next_post(simulated: SimulatedLink, queue: SendQueue) -> Post:
    post = simulated.link.next_post(queue)
    assert isinstance(post, Post)
    return post


def test_an_event_that_was_taken_back_comes_next_and_once() -> None:
    simulated = attached_link()
    for _ in range(2):
        simulated.pod.say()
    simulated.bring(count=2, back=0)
    first = simulated.link.next_event()
    assert isinstance(first, events.Received)
    simulated.link.take_back()
    simulated.link.take_back()
    simulated.link.resume()
    assert simulated.link.next_event() == first
    assert simulated.link.next_event() is None
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.after is not None
    assert connect.after.cursor == 1


def test_nothing_is_sent_before_the_owner_has_dealt_with_a_failure_that_was_taken_back() -> None:
    simulated = attached_link()
    (queue, _) = simulated.link.queues
    simulated.send()
    simulated.link.post_failed(queue, next_post(simulated, queue), Unauthorized("no"))
    failed = simulated.link.next_event()
    simulated.link.take_back()
    simulated.send()
    assert simulated.link.next_post(queue) == NEVER
    again = simulated.link.next_event()
    assert isinstance(failed, events.Failed)
    assert isinstance(again, events.Failed)
    assert [message.parts[0] for message in again.unsent] == simulated.sent
    assert simulated.link.next_event() is None
    assert simulated.link.queues.are_empty


def test_answer_to_what_was_dropped_takes_nothing_else_out_of_the_queue() -> None:
    simulated = attached_link()
    simulated.send()
    simulated.post(number=0, fate="takes time", waits=False)
    simulated.use("drop")
    simulated.send()
    simulated.post(number=0, fate="arrives", waits=False)
    assert not simulated.link.queues.are_empty
    simulated.go_well()
    assert simulated.accepted == [b"message 0", b"message 1"]


def test_what_a_cell_has_changed_is_told_in_its_place_and_once() -> None:
    simulated = attached_link()
    simulated.pod.say()
    simulated.pod.say_files()
    simulated.pod.say()
    simulated.bring(count=3, back=0)
    told = [simulated.link.next_event() for _ in range(4)]
    assert [type(event) for event in told] == [events.Received, events.FilesChanged, events.Received, type(None)]
    simulated.bring(count=3, back=2)
    assert simulated.link.next_event() is None


def test_a_link_that_connects_anew_goes_on_where_it_was() -> None:
    simulated = attached_link()
    simulated.pod.say()
    simulated.bring(count=1, back=0)
    simulated.take(2)
    simulated.send()
    simulated.link.reconnect()
    assert simulated.link.state is State.WAITING
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.after is not None
    assert connect.after.cursor == 1
    assert simulated.link.next_event() is None, "nobody waits for anything"
    assert not simulated.link.queues.are_empty


@pytest.mark.parametrize("is_open", [True, False])
def test_a_link_that_is_down_does_not_come_up_to_connect_anew(is_open: bool) -> None:
    link = SimulatedLink().link
    if is_open:
        link.open()
    state = link.state
    link.reconnect()
    assert link.state is state


def test_messages_that_were_dropped_are_told_once_and_not_asked_for_again() -> None:
    simulated = attached_link()
    gap = wire.Gap(first=1, last=5)
    simulated.link.read([gap, gap])
    assert [simulated.link.next_event(), simulated.link.next_event()] == [events.Dropped(gap), None]
    simulated.end_stream(is_planned=False)
    simulated.pass_time(MAX_BACKOFF_SECONDS)
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.after is not None
    assert connect.after.cursor == 5


# What the pool says of sessions, and where it lets nobody in


def test_a_full_pool_is_asked_for_a_session_that_was_there_before_anybody_waits_for_another() -> None:
    simulated = attached_link()
    simulated.link.stream_failed(PoolUnreachable("cut"))
    simulated.change("replace unheard")
    simulated.connect(error=PoolFull("full", retry_after_seconds=RETRY_AFTER_SECONDS), is_sent=True, waits=True)
    assert simulated.link.due_at - simulated.now == pytest.approx(MIN_BACKOFF_SECONDS)
    simulated.now = simulated.link.due_at
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.asks_first
    simulated.link.session_missed()
    told = [event for event in (simulated.link.next_event(), simulated.link.next_event()) if event is not None]
    assert isinstance(told[-1], events.Lost)
    assert (simulated.link.state, simulated.link.may_have_taken) == (State.LOST, False)


def test_a_pool_that_has_only_faults_is_asked_whether_the_session_is_gone() -> None:
    simulated = attached_link()
    simulated.link.stream_failed(PoolUnreachable("cut"))
    simulated.change("replace unheard")
    for _ in range(3):
        assert simulated.link.following.epoch
        simulated.connect(error=PoolRefused("a fault", status=500), is_sent=True, waits=True)
    simulated.now = simulated.link.due_at
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.asks_first


def test_a_pool_that_never_says_what_became_of_the_session_is_given_up_after_its_cooldown() -> None:
    simulated, error = attached_link(), PoolRefused("a fault", status=500)
    simulated.keep_alive.is_busy = True
    simulated.keep_alive.cooldown_seconds = 900.0
    simulated.link.stream_failed(PoolUnreachable("cut"))
    began, epoch = simulated.now, simulated.link.following.epoch
    while simulated.link.state is not State.FAILED:
        simulated.now = max(simulated.now, simulated.link.due_at)
        assert isinstance(simulated.link.next_connection(), Connect)
        simulated.link.stream_failed(simulated.link.recognise(error))
        assert simulated.now < began + 1000
        told = simulated.link.next_event()
    assert simulated.now >= began + 900
    assert isinstance(told, events.Failed)
    assert "status 500 for 15 min" in str(told.error)
    assert simulated.link.following.epoch == epoch, "it may be there: who tries again asks for it"


def test_a_full_pool_that_does_not_say_is_waited_for() -> None:
    simulated = attached_link()
    simulated.link.stream_failed(PoolUnreachable("cut"))
    for _ in range(2):
        simulated.connect(error=PoolFull("full", retry_after_seconds=RETRY_AFTER_SECONDS), is_sent=True, waits=True)
    assert simulated.link.due_at - simulated.now >= RETRY_AFTER_SECONDS


@pytest.mark.parametrize("seconds", [200.0, 400.0])
def test_a_session_is_asked_for_where_the_pool_may_have_taken_it(seconds: float) -> None:
    simulated = attached_link()
    simulated.link.rest()
    simulated.pass_time(seconds)
    simulated.link.open()
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.asks_first is (seconds > 300.0), "the pod's cooldown"


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_link_that_wakes_up_after_the_cooldown_asks_the_pool_before_the_pod(is_noticed: bool) -> None:
    """Time that a laptop sleeps is none for its monotonic clock, and the notebook was used five minutes ago."""
    simulated = attached_link()
    simulated.slept += 7200.0
    simulated.pass_time(100.0)
    if is_noticed:
        simulated.end_stream(is_planned=False)
        simulated.now = simulated.link.due_at
    else:
        assert simulated.link.next_call() == NEVER, "it would take a session"
    connect = simulated.link.next_connection()
    assert isinstance(connect, Connect)
    assert connect.asks_first


def new_link(now: list[float], **options: Any) -> LinkMachine:
    clock = Clock(monotonic=lambda: now[0], wall=lambda: now[0])
    link = LinkMachine(
        position=None, wait_seconds=WAIT_SECONDS, keep_alive=KeepAlive(KEEPALIVE_SECONDS, clock), clock=clock, **options
    )
    link.open()
    return link


def fail(link: LinkMachine, now: list[float], error: RemoteKernelError) -> events.Event | None:
    """Let the next connection fail, and return what is told of it."""
    now[0] = max(now[0], link.due_at)
    assert isinstance(link.next_connection(), Connect)
    link.stream_failed(link.recognise(error))
    return link.next_event()


@pytest.mark.parametrize("has_own_image", [True, False])
def test_a_pool_that_never_had_a_session_may_have_an_image_that_does_not_start(has_own_image: bool) -> None:
    now = [1000.0]
    link = new_link(now, has_own_image=has_own_image)
    event = fail(link, now, PoolFull("full"))
    assert isinstance(event, events.Waiting)
    assert event.wait.more == ""
    now[0] += NEVER_READY_SECONDS
    event = fail(link, now, PoolFull("full"))
    assert isinstance(event, events.Waiting)
    assert ("PoolReadyPodCount" in event.wait.more) is has_own_image


def test_status_500_is_a_full_pool_only_for_who_has_no_session() -> None:
    now = [1000.0]
    link, fault = new_link(now), PoolRefused("a fault", status=500)
    told = [fail(link, now, fault) for _ in range(3)]
    assert [event.wait.reason for event in told if isinstance(event, events.Waiting)] == [
        "waiting for the session pool", "waiting for the session pool", "waiting for a free session",
    ]  # fmt: skip
    simulated = attached_link()
    simulated.link.stream_failed(PoolUnreachable("cut"))
    for _ in range(4):
        simulated.connect(error=fault, is_sent=True, waits=True)
    simulated.take(1000)
    assert simulated.link.state is State.WAITING
    assert not simulated.link.next_event()


@pytest.mark.parametrize(
    ("error", "access_seconds", "patience"),
    [
        (Forbidden("no role"), 0.0, 0.0),
        (Forbidden("no role"), 60.0, 60.0),
        (PoolNotReady("in the making"), 0.0, FIRST_CONTACT_SECONDS),
        (PoolNotReady("in the making"), 60.0, 60.0),
    ],
)
def test_the_first_contact_has_patience_with_a_pool_that_lets_nobody_in_so_far(
    error: RemoteKernelError, access_seconds: float, patience: float
) -> None:
    now = [1000.0]
    link = new_link(now, access_seconds=access_seconds)
    began = now[0]
    while isinstance(event := fail(link, now, error), events.Waiting):
        assert str(error) in event.wait.more
        assert not link.may_have_taken
    assert isinstance(event, events.Failed)
    assert event.error is error
    assert now[0] - began == pytest.approx(patience)


def test_a_role_that_was_taken_away_is_told_at_once() -> None:
    simulated = attached_link()
    simulated.link.stream_failed(PoolUnreachable("cut"))
    simulated.take(1000)
    simulated.connect(error=Forbidden("no role"), is_sent=True, waits=True)
    assert isinstance(simulated.link.next_event(), events.Failed)


def test_a_pool_that_is_updated_while_a_cell_runs_is_waited_for() -> None:
    simulated = attached_link()
    simulated.send()
    queue = next(iter(simulated.link.queues))
    post = simulated.link.next_post(queue)
    assert isinstance(post, Post)
    simulated.link.post_failed(queue, post, PoolNotReady("in the making"))
    simulated.link.stream_failed(PoolUnreachable("cut"))
    for _ in range(10):
        simulated.pass_time(60.0)
        simulated.connect(error=PoolNotReady("in the making"), is_sent=True, waits=True)
        while (event := simulated.link.next_event()) is not None:
            assert isinstance(event, events.Waiting)
    simulated.go_well()
    simulated.go_well()
    assert (simulated.link.state, simulated.accepted) == (State.ATTACHED, [b"message 0"])
