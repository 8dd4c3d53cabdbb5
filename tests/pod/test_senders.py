"""Senders and what is known of them: examples, then any order of events."""

import contextlib

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.pod.kernels.senders import MAX_NAME_LENGTH, SenderForgotten, Senders


def make(number: int, seen: int = 0) -> Message:
    return Message(channel=Channel.SHELL, parts=(b"{}",) * 4, sequence=number, seen=seen)


def accept(senders: Senders, sender: str, messages: list[Message], position: int) -> int:
    new = [message for message in messages if senders.is_new(sender, message.sequence)]
    if new:
        senders.check(sender, new, new)
    for message in new:
        senders.note(sender, message.sequence, position)
    return len(new)


def test_numbers_with_a_hole_are_refused() -> None:
    senders = Senders()
    assert accept(senders, "a", [make(1), make(2)], 5) == 2
    with pytest.raises(WireError):
        accept(senders, "a", [make(4)], 6)
    with pytest.raises(WireError):
        accept(senders, "b", [make(2)], 6)


def test_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(WireError):
        accept(Senders(), "x" * (MAX_NAME_LENGTH + 1), [make(1)], 0)


class SendersMachine(RuleBasedStateMachine):
    """Clients that send, repeat what they have sent, rest, and come anew, while few of them are remembered."""

    names = strategies.integers(0, 12)

    def __init__(self) -> None:
        super().__init__()
        self.senders = Senders(max_senders=3)
        self.position = 0
        self.sent: dict[int, list[Message]] = {}
        self.accepted: set[tuple[int, int]] = set()

    def post(self, name: int, message: Message) -> None:
        count = accept(self.senders, str(name), [message], self.position)
        assert count == ((name, message.sequence) not in self.accepted)
        self.accepted.add((name, message.sequence))
        self.position += count  # each is answered

    @rule(name=names)
    def send(self, name: int) -> None:
        """A message of a client that is up to date is accepted, whoever was forgotten."""
        sent = self.sent.setdefault(name, [])
        sent.append(make(len(sent) + 1, self.position))
        self.post(name, sent[-1])

    @precondition(lambda self: any(self.sent.values()))
    @rule(data=strategies.data())
    def repeat(self, data: strategies.DataObject) -> None:
        """A message that is repeated is not accepted again."""
        name = data.draw(strategies.sampled_from(sorted(self.sent)))
        with contextlib.suppress(SenderForgotten):
            self.post(name, data.draw(strategies.sampled_from(self.sent[name])))


SendersMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestAnyOrder = SendersMachine.TestCase
