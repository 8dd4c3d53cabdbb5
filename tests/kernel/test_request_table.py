"""Whatever happens in whatever order, each request has one reply, and "busy" and "idle" once, around it."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf
from types import SimpleNamespace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remote_kernel.core.errors import (
    PoolFull,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    SessionLost,
    Unauthorized,
)
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import parse_header, parse_object
from remote_kernel.core.wire.frames import Channel, Gap, Hello, Message
from remote_kernel.kernel.output.session_notices import MAX_WAITING
from remote_kernel.kernel.requests import effects
from remote_kernel.kernel.requests.effects import Effect, Step
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.prompts import MAX_UNANSWERED, MAX_UNANSWERED_BYTES
from remote_kernel.kernel.requests.request import MOVES, Interrupted, KernelMessage, Request, State
from remote_kernel.kernel.requests.table import MAX_EXPLAINED_CHARS, RequestTable
from remote_kernel.kernel.requests.withheld_ends import WithheldEnds

# What the cells of the model do.
CODES = st.sampled_from(
    ["ok", "ok", "fail", "wait", "wait", "ask", "say nothing", "silent", "hidden", "%session", "%session release"]
)
FLAGS: dict[str, dict[str, object]] = {
    "silent": {"silent": True},
    "hidden": {"code": "__vsc_x = 1", "store_history": False, "stop_on_error": False, "silent": False}
    | {"allow_stdin": True},
}

# Of a cell, an interrupt and other requests alike, at times.
IDS = st.sampled_from(["", "", "same"])


def part(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@dataclass
class Asked:
    """A request, and what its front end has heard of it."""

    number: int
    header: bytes
    code: str
    states: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    outputs: int = 0
    is_interrupted: bool = False

    @property
    def has_ended(self) -> bool:
        return bool(self.replies) and "idle" in self.states


class Kernel:
    """The pod's kernel: runs what was accepted in order, and says so; "wait" ends when it is interrupted."""

    def __init__(self) -> None:
        self.queue: deque[Message] = deque()
        self.said: deque[Message] = deque()
        self.is_running = False
        self.unwanted: set[str] = set()

    @property
    def waits(self) -> bool:
        """Return whether it runs what goes on until it is interrupted."""
        return self.is_running and b'"wait"' in self.queue[0].parts[3]

    def say(self, channel: Channel, msg_type: str, parent: bytes, **content: object) -> None:
        self.said.append(
            Message(channel=channel, parts=(part(msg_id="k", msg_type=msg_type), parent, b"{}", part(**content)))
        )

    def accept(self, message: Message) -> None:
        header = parse_header(message.parts[0])
        if header.msg_type == "interrupt_request":
            aim = Aim.parse(message.parts[3])
            self.unwanted |= aim.cells  # those that wait are interrupted when they begin
            if self.is_running and (self.is_unwanted or (not aim.is_exclusive and self.is_seen)):
                self.end(status="error")
            self.say(message.channel, "interrupt_reply", message.parts[0], status="ok")
        else:
            self.queue.append(message)

    @property
    def is_seen(self) -> bool:
        """Return whether the front end could see it running."""
        return all(message.parts[1] != self.queue[0].parts[0] for message in self.said)

    @property
    def is_unwanted(self) -> bool:
        return parse_header(self.queue[0].parts[0]).msg_id in self.unwanted

    def step(self, *, is_idle_first: bool) -> None:
        """Begin with the next request, or end the one that was begun."""
        parent, code = self.queue[0].parts[0], str(parse_object(self.queue[0].parts[3]).get("code"))
        if not self.is_running:
            self.is_running = True
            self.say(Channel.IOPUB, "status", parent, execution_state="busy")
            self.say(Channel.IOPUB, "stream", parent, text="x")
            if code == "ask":
                self.say(Channel.STDIN, "input_request", parent)
        elif code != "wait" or self.is_unwanted:
            self.end(status="error" if code == "fail" else "ok", is_idle_first=is_idle_first)

    def end(self, *, status: str, is_idle_first: bool = False) -> None:
        message = self.queue.popleft()
        self.is_running = False
        parent, msg_type = message.parts[0], parse_header(message.parts[0]).msg_type
        if status == "error":
            self.say(Channel.IOPUB, "error", parent, ename="FileNotFoundError", evalue="x")
        if is_idle_first:
            self.say(Channel.IOPUB, "status", parent, execution_state="idle")
        if b"say nothing" not in message.parts[3] and msg_type.endswith("_request"):
            self.say(message.channel, msg_type.replace("request", "reply"), parent, status=status)
        if not is_idle_first:
            self.say(Channel.IOPUB, "status", parent, execution_state="idle")
        if status == "error":
            behind, self.queue = self.queue, deque()
            for message in behind:
                self.queue.append(message)
                if parse_header(message.parts[0]).msg_type == "execute_request":
                    self.queue.pop()
                    self.say(Channel.IOPUB, "status", message.parts[0], execution_state="busy")
                    self.say(message.channel, "execute_reply", message.parts[0], status="aborted")
                    self.say(Channel.IOPUB, "status", message.parts[0], execution_state="idle")


class Requests(RuleBasedStateMachine):
    """A front end, a link and a kernel in a pod around the table."""

    def __init__(self) -> None:
        super().__init__()
        ids = (f"ours-{number}" for number in count())
        self.table = RequestTable(known=SimpleNamespace(content=None), kernelspec="python3", ports={}, ids=ids)
        self.asked: dict[bytes, Asked] = {}
        self.kernel = Kernel()
        self.unsent: list[Message] = []
        self.command: Request | None = None
        self.preparing: Request | None = None
        self.is_prepared, self.brings_files = True, False
        self.files_due: list[str] = []
        self.now = 0.0
        self.is_there = self.is_attached = self.is_sought = self.is_shared = False
        self.untold: SessionLost | None = None
        self.undescribed: SessionLost | None = None
        self.has_died = False
        self.is_cancelled = False
        self.numbers = count(1)
        self.prompts = self.ended_here = 0

    def facts(self) -> SessionFacts:
        return SessionFacts(
            exists=self.is_there or bool(self.unsent), is_there=self.is_there, is_attached=self.is_attached,
            is_sought=self.is_sought, is_shared=self.is_shared, untold=self.untold,
            is_prepared=self.is_prepared, brings_files=self.brings_files,
        )  # fmt: skip

    # What the table decides

    def do(self, decided: Iterable[Effect]) -> None:
        for effect in decided:
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        match effect:
            case effects.Publish(parts):
                self.hear(parts[0], parts[1], parse_object(parts[3]))
            case effects.Forward(request, channel, parts):
                assert parts[1] == request.header
                if channel is Channel.STDIN:
                    self.prompts += 1
                else:
                    self.reply(request, str(parse_object(parts[3])["status"]))
            case effects.Reply(request, _, content):
                self.reply(request, str(content["status"]))
            case effects.Say(msg_type, content, parent) if parent != b"{}":
                assert not self.asked[parent].has_ended, "nothing is said of what has ended"
                self.hear(part(msg_type=msg_type), parent, dict(content))
            case effects.Show(_, parent):
                assert not self.asked[parent].has_ended
            case effects.Send(message):
                self.unsent.append(message)
                self.is_sought = True
            case effects.SendInterrupt(msg_id, aim):
                header = part(msg_id=msg_id, msg_type="interrupt_request")
                self.unsent.insert(0, Message(channel=Channel.CONTROL, parts=(header, b"{}", b"{}", aim.to_content())))
            case effects.SendProbe(msg_id, channel, _):
                header = part(msg_id=msg_id, msg_type="kernel_info_request")
                self.unsent.append(Message(channel=channel, parts=(header, b"{}", b"{}", b"{}")))
            case Step.FORGET_UNSENT:
                self.unsent.clear()
            case Step.ABORT_UNSENT:
                unsent = [message for message in self.unsent if message.channel is Channel.SHELL]
                self.unsent = [message for message in self.unsent if message not in unsent]
                self.do(self.table.unsent(unsent))
            case effects.RunCommand(request, _):
                assert self.command is None
                self.command = request
            case effects.Explain(request, _, _):
                self.files_due.append(request.info.msg_id)
            case effects.Prepare(request):
                assert self.preparing is None
                self.preparing, self.is_sought = request, True
            case Step.CANCEL_COMMAND | Step.CANCEL_PREPARATION:
                self.is_cancelled = True
            case effects.NoteUntold(loss):
                self.untold = loss
            case Step.END_KERNEL:
                self.has_died = True

    def hear(self, header: bytes, parent: bytes, content: dict[str, object]) -> None:
        if parent not in self.asked:
            return
        asked = self.asked[parent]
        if parse_header(header).msg_type == "status":
            asked.states.append(str(content["execution_state"]))
        else:
            asked.outputs += parse_header(header).msg_type == "stream"

    def reply(self, request: Request, status: str) -> None:
        asked = self.asked[request.header]
        asked.replies.append(status)

    # What front ends say

    def ask(self, msg_type: str, content: dict[str, object], *, msg_id: str = "") -> None:
        number = next(self.numbers)
        msg_id = msg_id and f"{msg_id}-{self.ended_here}"  # of two that are alike the first may never have been sent
        # By the date of its parent a reply is told from that of another with the same id, which may have been left.
        date = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
        header = part(msg_id=msg_id or f"id-{number}", msg_type=msg_type, session="s", number=number, date=date)
        self.asked[header] = Asked(
            number, header, "hidden" if "__vsc" in str(content) else str(content.get("code", msg_type))
        )
        channel = Channel.CONTROL if msg_type == "interrupt_request" else Channel.SHELL
        request = Request.parse(channel, [b"client"], (header, b"{}", b"{}", part(**content)))
        self.do(self.table.arrived(request, self.facts(), self.now))

    @initialize(
        has_session=st.booleans(), is_shared=st.booleans(), is_prepared=st.booleans(), brings_files=st.booleans()
    )
    def begin(self, has_session: bool, is_shared: bool, is_prepared: bool = True, brings_files: bool = False) -> None:
        self.is_shared, self.is_prepared, self.brings_files = is_shared, is_prepared, brings_files
        if has_session:
            self.cell("ok", is_attended=True, msg_id="")
            self.attach()
            if self.preparing is not None:
                self.end_preparation(error=None)
            self.progress(steps=9, is_idle_first=False)

    @precondition(lambda self: not self.has_died)
    @rule(code=CODES, is_attended=st.sampled_from([True, True, False]), msg_id=IDS)
    def cell(self, code: str, is_attended: bool, msg_id: str) -> None:
        content: dict[str, object] = {"code": code, "allow_stdin": is_attended}
        if code in {"silent", "hidden"}:
            content |= FLAGS[code]
        # Of two requests that are alike, one without a reply and one with, nobody could tell whose the reply is.
        self.ask("execute_request", content, msg_id="" if code == "say nothing" else msg_id)

    @precondition(lambda self: not self.has_died)
    @rule(msg_type=st.sampled_from(["inspect_request", "strange_request"]), msg_id=IDS)
    def question(self, msg_type: str, msg_id: str) -> None:
        self.ask(msg_type, {}, msg_id=msg_id)

    @precondition(lambda self: not self.has_died)
    @rule(msg_id=IDS)
    def interrupt(self, msg_id: str) -> None:
        for message in (*self.unsent, *self.kernel.queue):  # not what waits for its turn here
            if (asked := self.asked.get(message.parts[0])) is not None:
                asked.is_interrupted = True
        self.ask("interrupt_request", {}, msg_id=msg_id)
        assert self.is_cancelled or (self.command is None and self.preparing is None)
        self.ended_here += 1

    # What the link and the pod do

    @precondition(lambda self: not self.is_attached and self.is_sought)
    @rule()
    def attach(self) -> None:
        self.is_there = self.is_sought = True
        hello = Hello(
            epoch="e", cursor=0, cooldown_seconds=300.0, pod="p", is_busy=self.kernel.is_running, kernel_info={}
        )
        self.do(self.table.attached(hello, are_files_lost=False))
        self.is_attached = True

    @precondition(lambda self: self.is_attached)
    @rule()
    def break_line(self) -> None:
        self.is_attached = False

    @rule(steps=st.integers(1, 8), is_idle_first=st.booleans())
    def progress(self, steps: int, is_idle_first: bool) -> None:
        """Have link and kernel do what they can."""
        for _ in range(steps):
            if self.kernel.said and self.is_attached:
                self.deliver()
            elif self.unsent and self.is_attached:
                self.kernel.accept(self.unsent.pop(0))
            elif self.kernel.queue:
                self.kernel.step(is_idle_first=is_idle_first)

    def deliver(self) -> None:
        message = self.kernel.said.popleft()
        said = KernelMessage.parse(message)
        asked = self.asked.get(message.parts[1])
        before = (asked.outputs, self.prompts) if asked else (0, 0)
        if said.is_iopub:
            self.do(self.table.published(said, self.now))
            if said.state == "idle" and self.brings_files:
                self.files_due.append(said.parent.msg_id)
        else:
            self.do(self.table.replied(said, self.facts(), self.now))
        if asked is not None and said.msg_type == "stream" and asked.code != "hidden":
            assert asked.outputs == before[0] + 1, "an output is lost"
        if asked is not None and said.msg_type == "input_request" and not asked.replies:
            assert self.prompts == before[1] + 1, "a prompt is lost"

    @precondition(lambda self: self.is_attached and self.unsent)
    @rule()
    def refuse(self) -> None:
        error, message = PoolRefused("no", status=400, code=""), self.unsent.pop(0)
        if message.channel is Channel.CONTROL:  # which is told, and hits nothing
            for asked in self.asked.values():
                asked.is_interrupted = False
        self.do(self.table.refused(message, error, self.facts(), self.now))
        self.ended_here += 1

    @precondition(lambda self: self.is_sought)
    @rule(
        error=st.sampled_from([SessionLost("gone"), PoolUnreachable("down"), PoolFull("full"), Unauthorized("no")]),
        is_described=st.booleans(),
    )
    def fail(self, error: RemoteKernelError, is_described: bool = True) -> None:
        if self.undescribed is not None:
            return  # the link waits
        self.is_attached = self.is_sought = False
        unsent = list(self.unsent)
        self.unsent.clear()
        if isinstance(error, SessionLost | PoolFull):
            self.is_there = False
            self.kernel = Kernel()
            self.files_due.clear()
        if isinstance(error, SessionLost) and not is_described:
            self.undescribed = error
        is_described = self.undescribed is not error
        self.do(self.table.failed(error, self.facts(), self.now, unsent, is_told=False, is_described=is_described))
        self.ended_here += 1

    @precondition(lambda self: self.undescribed is not None)
    @rule()
    def describe(self) -> None:
        loss, self.undescribed = SessionLost(f"{self.undescribed}, and saved"), None
        self.do(self.table.described(loss, self.facts()))

    @precondition(lambda self: self.files_due)
    @rule()
    def bring_files(self) -> None:
        msg_id = self.files_due.pop(0)
        self.table.end_soon(msg_id)
        self.do(self.table.end_now(msg_id))

    @precondition(lambda self: self.preparing is not None)
    @rule(error=st.sampled_from([None, None, PoolUnreachable("down"), SessionLost("gone")]))
    def end_preparation(self, error: RemoteKernelError | None) -> None:
        request, self.preparing = self.preparing, None
        assert request is not None
        if self.is_cancelled and self.command is None:
            error, self.is_cancelled = Interrupted(""), False
        self.do(self.table.prepared(request, error, self.facts(), self.now))

    @precondition(lambda self: self.command is not None)
    @rule(fails=st.booleans())
    def end_command(self, fails: bool) -> None:
        command, self.command = self.command, None
        assert command is not None
        error = Interrupted("") if self.is_cancelled else RemoteKernelError("no") if fails else None
        self.is_cancelled = False
        if error is None and command.command and command.command.word == "release":
            self.is_there = self.is_attached = self.is_sought = False
            self.unsent.clear()
            self.kernel = Kernel()
            self.files_due.clear()
        self.do(self.table.command_ended(command, error, self.facts(), self.now))

    @precondition(lambda self: self.table.deadline < inf)
    @rule(seconds=st.sampled_from([0.01, 0.1, 0.6, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while self.table.deadline <= self.now:
            self.do(self.table.wake(self.facts(), self.now))

    # What must hold

    @invariant()
    def one_reply_and_busy_and_idle_once(self) -> None:
        for asked in self.asked.values():
            assert asked.states in ([], ["busy"], ["busy", "idle"]), asked
            assert len(asked.replies) <= 1, asked
            assert not asked.replies or asked.states, asked

    def teardown(self) -> None:
        """Let all come to its end."""
        interrupts, held = 0, 3
        for _ in range(1_000):
            if self.has_died:
                return
            is_waiting = self.kernel.waits and not self.kernel.is_unwanted
            if self.undescribed is not None:
                self.describe()
            elif self.command is not None:
                self.end_command(fails=False)
            elif self.preparing is not None:
                self.end_preparation(error=None)
            elif self.files_due:
                self.bring_files()
            elif (self.is_attached and (self.kernel.said or self.unsent)) or (self.kernel.queue and not is_waiting):
                self.progress(steps=1, is_idle_first=False)
            elif self.is_sought and not self.is_attached:
                self.attach()
            elif self.table.deadline < inf:
                self.pass_time(self.table.deadline - self.now + 0.001)
            elif self.kernel.queue and self.is_attached and interrupts < 100:
                asked = self.asked.get(self.kernel.queue[0].parts[0])
                assert asked is None or asked.has_ended or not asked.is_interrupted, f"an interrupt was lost: {asked}"
                self.interrupt(msg_id="")
                interrupts += 1
            elif held and any(not asked.has_ended for asked in self.asked.values()):
                held -= 1  # what was held until a cell brings a session; one may be told of a loss instead
                self.cell(code="ok", is_attended=True, msg_id="")
            else:
                break
        self.one_reply_and_busy_and_idle_once()
        for asked in self.asked.values():
            assert asked.has_ended, asked


def test_states_are_all_reached_and_nothing_follows_the_end() -> None:
    assert {after for _, after in MOVES.items()} | {State.HELD} == set(State)
    assert not [state for state, _ in MOVES if state is State.DONE]


@pytest.mark.parametrize(("session", "is_forwarded"), [("s", True), ("another front end's", False)])
def test_prompt_of_what_has_ended_becomes_that_of_the_last_cell(session: str, is_forwarded: bool) -> None:
    """Unless another kernel's front end has asked for what prompts."""
    world = Requests()
    world.begin(has_session=True, is_shared=True)
    asked = part(msg_id="x", msg_type="execute_request", session=session)
    world.kernel.say(Channel.STDIN, "input_request", asked, prompt="who?")
    world.deliver()
    assert world.prompts == is_forwarded


def test_what_was_left_running_and_ended_while_the_line_was_down_leaves_nobody_busy() -> None:
    world = Requests()
    world.begin(has_session=True, is_shared=False)
    world.cell("wait", is_attended=True, msg_id="")
    world.progress(steps=4, is_idle_first=False)
    world.fail(Unauthorized("no"))
    hellos = [
        Hello(epoch="e", cursor=0, cooldown_seconds=300.0, pod="p", is_busy=busy, kernel_info={})
        for busy in (True, False)
    ]
    said = [world.table.attached(hello, are_files_lost=False) for hello in hellos]
    states = [[each.content["execution_state"] for each in told if isinstance(each, effects.Say)] for told in said]
    assert states == [["busy"], ["idle"]]


def test_note_about_its_files_is_in_the_cell_that_nobody_looks_at() -> None:
    world = Requests()
    world.begin(has_session=True, is_shared=False, brings_files=True)
    world.progress(steps=9, is_idle_first=False)
    world.files_due.clear()
    world.cell("ok", is_attended=False, msg_id="")
    world.progress(steps=9, is_idle_first=False)
    (asked,) = (each for each in world.asked.values() if not each.has_ended)
    assert not asked.replies
    done = world.table.end_now(parse_header(asked.header).msg_id, ["One was not fetched."])
    assert [type(effect) for effect in done] == [effects.Show, effects.Forward, effects.Publish]
    assert world.table.end_now("nobody's", ["Nor was another."]) == [], "it waits for the next cell"


@pytest.mark.parametrize("is_running", [True, False])
def test_what_arrives_while_a_loss_is_described_ends_with_it_in_those_words(is_running: bool) -> None:
    world = Requests()
    world.begin(has_session=True, is_shared=False)
    if is_running:
        world.cell("wait", is_attended=True, msg_id="")
        world.progress(steps=4, is_idle_first=False)
    world.fail(SessionLost("gone"), is_described=False)
    world.cell("first behind it", is_attended=True, msg_id="")
    world.cell("second", is_attended=True, msg_id="")
    assert world.table.deadline == inf
    told = {each.code: each for each in world.asked.values() if not each.has_ended}
    assert len(told) == 2 + is_running
    world.describe()
    said = world.table.wake(world.facts(), world.now + 10)
    replies = [each.content for each in said if isinstance(each, effects.Reply)]
    assert [content["status"] for content in replies] == ["error", *["aborted"] * (len(told) - 1)]
    assert replies[0]["evalue"] == "gone, and saved"


@pytest.mark.parametrize("shown", ["2026-01-01T00:00:02.000000Z", "2026-01-01T00:00:02+00:00"])
def test_reply_goes_to_the_one_of_two_requests_that_it_is_to(shown: str) -> None:
    """The kernel ends the first, with the same type and id, without a reply; it writes dates in its own way."""
    world = Requests()
    world.begin(has_session=True, is_shared=False)
    requests: list[Request] = []
    parents: list[bytes] = []
    for date in ("2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:02.000000Z"):
        header = part(msg_id="twice", msg_type="inspect_request", session="s", date=date)
        requests.append(Request.parse(Channel.SHELL, [], (header, b"{}", b"{}", b"{}")))
        parents.append(
            part(msg_id="twice", msg_type="inspect_request", session="s", date=date if not parents else shown)
        )
        world.table.arrived(requests[-1], world.facts(), 0.0)
    for state in ("busy", "idle"):
        content = part(execution_state=state)
        said = Message(channel=Channel.IOPUB, parts=(part(msg_id="k", msg_type="status"), parents[0], b"{}", content))
        world.table.published(KernelMessage.parse(said), 0.0)
    reply = Message(channel=Channel.SHELL, parts=(part(msg_id="k", msg_type="inspect_reply"), parents[1], b"{}", b"{}"))
    forwards = [
        effect.request
        for effect in world.table.replied(KernelMessage.parse(reply), world.facts(), 0.1)
        if isinstance(effect, effects.Forward)
    ]
    assert forwards == [requests[1]]
    (probe,) = (each for each in world.table.wake(world.facts(), 1.0) if isinstance(each, effects.SendProbe))
    answer = part(msg_id=probe.msg_id, msg_type="kernel_info_request", session="")
    told = Message(channel=Channel.SHELL, parts=(part(msg_id="k", msg_type="kernel_info_reply"), answer, b"{}", b"{}"))
    ended = world.table.replied(KernelMessage.parse(told), world.facts(), 1.1)
    assert [each.request for each in ended if isinstance(each, effects.Reply)] == [requests[0]]


def test_an_interrupt_of_a_command_goes_no_further() -> None:
    """The command ends what it has begun in the session; a second interrupt would hit what runs there next."""
    world = Requests()
    facts = SessionFacts(exists=True, is_there=True, is_attached=True, is_sought=True)
    header = part(msg_id="c", msg_type="execute_request", session="s")
    cell = Request.parse(Channel.SHELL, [], (header, b"{}", b"{}", part(code="%session restore")))
    world.table.arrived(cell, facts, 0.0)
    header = part(msg_id="i", msg_type="interrupt_request", session="s")
    decided = world.table.arrived(Request.parse(Channel.CONTROL, [], (header, b"{}", b"{}", b"{}")), facts, 0.0)
    assert Step.CANCEL_COMMAND in decided
    assert not [effect for effect in decided if isinstance(effect, effects.Send)]


def test_a_cell_that_is_prepared_while_a_loss_settles_ends_with_it_and_is_not_run() -> None:
    world = Requests()
    world.begin(has_session=True, is_shared=False)
    world.cell("wait", is_attended=True, msg_id="")
    world.progress(steps=9, is_idle_first=False)
    world.is_prepared = False
    world.cell("ok", is_attended=True, msg_id="")
    world.fail(SessionLost("gone"), is_described=False)
    world.end_preparation(error=None)
    assert world.unsent == []
    world.describe()
    world.pass_time(3.0)
    assert [asked.replies for asked in world.asked.values()][1:] == [["error"], ["aborted"]]
    world.one_reply_and_busy_and_idle_once()


def test_what_the_next_session_was_asked_does_not_end_with_a_loss_that_is_told_meanwhile() -> None:
    world = Requests()
    world.begin(has_session=False, is_shared=False)
    world.cell("silent", is_attended=True, msg_id="")
    world.untold, world.is_sought = SessionLost("gone"), True
    world.cell("ok", is_attended=True, msg_id="")
    world.attach()
    world.question("inspect_request", msg_id="")
    world.pass_time(3.0)
    silent, told, asked = world.asked.values()
    assert (silent.replies, told.replies, asked.replies) == ([], ["error"], ["error"])
    world.progress(steps=20, is_idle_first=False)
    assert silent.replies == ["ok"]
    world.one_reply_and_busy_and_idle_once()


@pytest.mark.parametrize("is_unsent", [True, False])
def test_a_cell_that_the_session_may_have_got_is_said_to_go_on(is_unsent: bool) -> None:
    """Although it has said nothing of it: who takes it for refused would have it run twice."""
    world = Requests()
    facts = SessionFacts(exists=True, is_there=True, is_attached=True, is_sought=True)
    header = part(msg_id="c", msg_type="execute_request", session="s")
    cell = Request.parse(Channel.SHELL, [], (header, b"{}", b"{}", part(code="1")))
    (sent,) = (each for each in world.table.arrived(cell, facts, 0.0) if isinstance(each, effects.Send))
    unsent = [sent.message] if is_unsent else []
    decided = world.table.failed(Unauthorized("Log in."), facts, 1.0, unsent, is_told=False)
    (reply,) = (each for each in decided if isinstance(each, effects.Reply))
    assert reply.content["ename"] == "Unauthorized"
    assert ("may still run" in reply.content["evalue"]) is not is_unsent


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_panel_that_asks_all_the_time_does_not_keep_the_session(is_kept: bool) -> None:
    """Once it is not kept for anybody else, the pod is not asked: each request would keep it from cooling down."""
    world = Requests()
    facts = SessionFacts(exists=True, is_there=True, is_attached=True, is_sought=True, is_kept=is_kept)
    header = part(msg_id="u", msg_type="usage_request", session="s")
    request = Request.parse(Channel.CONTROL, [], (header, b"{}", b"{}", b"{}"))
    decided = world.table.arrived(request, facts, 0.0)
    sent = [effect.is_use for effect in decided if isinstance(effect, effects.Send)]
    replied = [effect for effect in decided if isinstance(effect, effects.Reply)]
    assert (sent, len(replied)) == (([False], 0) if is_kept else ([], 1))


@pytest.mark.parametrize(
    ("msg_type", "parent", "is_use"),
    [
        ("usage_reply", "usage_request", False),
        ("status", "usage_request", False),
        ("status", "execute_request", True),
        ("stream", "execute_request", True),
        ("comm_msg", "", True),
    ],
)
def test_what_shows_that_somebody_uses_the_session(msg_type: str, parent: str, is_use: bool) -> None:
    parts = (part(msg_id="1", msg_type=msg_type), part(msg_id="2", msg_type=parent), b"{}", b"{}")
    assert KernelMessage.parse(Message(channel=Channel.IOPUB, parts=parts)).is_use is is_use


@pytest.mark.parametrize(
    ("asked_before", "flags", "is_attended"),
    [
        ((), {}, False),
        (("kernel_info_request", "comm_info_request"), {}, False),
        (("inspect_request",), {}, True),
        (("history_request",), {"store_history": True}, True),
        (("inspect_request",), {"store_history": False}, False),
    ],
)
def test_cells_without_input_are_somebodys_where_there_is_a_page(
    asked_before: tuple[str, ...], flags: dict[str, bool], is_attended: bool
) -> None:
    """As those of an extension whose server runs them; an extension's own, of which there is no history, are not."""
    world = Requests()
    world.begin(has_session=False, is_shared=False)
    for msg_type in asked_before:
        world.ask(msg_type, {}, msg_id="")
    world.ask("execute_request", {"code": "ok", "allow_stdin": False, **flags}, msg_id="")
    waiting = world.table.waiting_cell
    assert waiting is not None
    assert waiting.is_attended == is_attended


class Flood(Requests):
    """A cell that runs, of which the pod says whatever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[effects.Show] = []
        self.begin(has_session=True, is_shared=False)
        self.cell("wait", is_attended=True, msg_id="")
        self.progress(steps=4, is_idle_first=False)
        (self.running,) = (each.header for each in self.asked.values() if not each.has_ended)

    def perform(self, effect: Effect) -> None:
        super().perform(effect)
        if isinstance(effect, effects.Show):
            self.shown.append(effect)

    def say(self, channel: Channel, msg_type: str, **content: object) -> list[Effect]:
        self.kernel.say(channel, msg_type, self.running, **content)
        said = KernelMessage.parse(self.kernel.said.pop())
        if said.is_iopub:
            return self.table.published(said, self.now)
        return self.table.replied(said, self.facts(), self.now)

    def prompts_of(self, count: int, *, chars: int = 10) -> tuple[int, int]:
        """Have the cell ask so many questions; return how many were passed on, and how many dropped."""
        decided = [
            effect for _ in range(count) for effect in self.say(Channel.STDIN, "input_request", prompt="x" * chars)
        ]
        dropped = decided.count(Step.NOTE_DROPPED_PROMPT)
        return sum(isinstance(effect, effects.Forward) for effect in decided), dropped


def test_errors_without_end_are_explained_once_and_kept_in_part() -> None:
    world = Flood()
    content = {"ename": "FileNotFoundError", "evalue": "'a' " * MAX_EXPLAINED_CHARS, "traceback": []}
    decided = [effect for _ in range(100) for effect in world.say(Channel.IOPUB, "error", **content)]
    (explained,) = (effect for effect in decided if isinstance(effect, effects.Explain))
    assert len(explained.text) == MAX_EXPLAINED_CHARS


@pytest.mark.parametrize("content", [{"ename": [], "evalue": ""}, {"ename": {}}, {"ename": "FileNotFoundError"}])
def test_error_without_words_is_not_explained(content: dict[str, object]) -> None:
    decided = Flood().say(Channel.IOPUB, "error", **content)
    assert [type(effect) for effect in decided] == [effects.Publish]


@pytest.mark.parametrize("msg_type", ["input_reply", "interrupt_request", "execute_request"])
def test_prompts_without_end_are_dropped_until_somebody_answers(msg_type: str) -> None:
    """Or interrupts, as a cell may ask again then, or asks for another cell."""
    world = Flood()
    assert world.prompts_of(1_000) == (MAX_UNANSWERED, 1_000 - MAX_UNANSWERED)
    world.ask("inspect_request", {})
    assert world.prompts_of(1) == (0, 1)
    world.ask(msg_type, {"code": "ok", "allow_stdin": True, "value": "x"})
    assert world.prompts_of(1) == (1, 0)


def test_prompt_that_nobody_could_read_is_dropped() -> None:
    world = Flood()
    assert world.prompts_of(1, chars=MAX_UNANSWERED_BYTES) == (0, 1)
    assert world.prompts_of(4, chars=MAX_UNANSWERED_BYTES // 3) == (2, 2)
    assert world.prompts_of(1) == (1, 0), "there is room for a short one"


def test_gaps_without_end_are_a_few_notes_that_count_all_of_them() -> None:
    world = Flood()
    gaps = [Gap(first=10 * number, last=10 * number + 2) for number in range(1, 1_001)]
    for gap in gaps:
        world.do(world.table.dropped(gap))
    assert len(world.shown) == MAX_WAITING
    world.interrupt(msg_id="")
    world.progress(steps=9, is_idle_first=False)
    world.cell("wait", is_attended=True, msg_id="")
    world.progress(steps=9, is_idle_first=False)
    counts = [int(effect.shown.text.split()[0].strip("[").replace(",", "")) for effect in world.shown]
    assert (len(counts), sum(counts)) == (MAX_WAITING + 1, 3 * len(gaps))


def test_end_that_waits_holds_no_memory_but_its_own() -> None:
    request = Request.parse(Channel.SHELL, [], (part(msg_id="a", msg_type="execute_request"), b"{}", b"{}", b"{}"))
    ends = WithheldEnds()
    ends.hold(request)
    view = memoryview(bytes(1_000_000))[:100]
    ends.add(request, effects.Publish((b"{}", b"{}", b"{}", view)), 0.0)  # type: ignore[arg-type]
    (kept,) = ends.let_go(request)
    assert isinstance(kept, effects.Publish)
    assert {*map(type, kept.parts)} == {bytes}


TestRequests = Requests.TestCase
TestRequests.settings = settings(
    # What fails is not made shorter, as that takes minutes.
    max_examples=350, stateful_step_count=22, deadline=None, phases=[Phase.generate]
)  # fmt: skip
