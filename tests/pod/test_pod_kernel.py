"""A pod's kernel, where no interpreter is needed."""

import asyncio
import contextlib

import pytest

from remote_kernel.core.journal.journal import Journal
from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels.interpreter import Interpreter
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.senders import MAX_SENDERS, SenderForgotten
from remote_kernel.pod.kernels.shutdowns import Shutdowns

pytestmark = pytest.mark.anyio


def make_kernel() -> PodKernel:
    def start() -> "asyncio.Task[Interpreter]":
        raise AssertionError("nothing here needs an interpreter")

    return PodKernel("main", "python3", journal=Journal(), start=start, shutdowns=Shutdowns())


def interrupt(sequence: int, seen: int = 0) -> Message:
    parts = Author("front end").write("interrupt_request", {}, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=parts, sequence=sequence, seen=seen)


async def test_repeated_message_is_not_accepted_again_however_many_others_came_between() -> None:
    kernel = make_kernel()

    async def send(message: Message, sender: str) -> int:
        return await kernel.accept([message], sender=sender, epoch=kernel.epoch)

    seen = kernel.journal.last_sequence
    message = interrupt(1, seen)
    assert await send(message, "notebook") == 1
    for number in range(MAX_SENDERS):
        assert await send(interrupt(1, kernel.journal.last_sequence), f"other {number}") == 1
    with pytest.raises(SenderForgotten):
        await send(message, "notebook")
    assert await send(interrupt(2, kernel.journal.last_sequence), "notebook") == 1  # it was idle meanwhile
    assert await send(interrupt(1, kernel.journal.last_sequence), "new") == 1


async def test_agents_own_messages_make_nobodys_be_forgotten() -> None:
    kernel = make_kernel()
    assert await kernel.accept([interrupt(1)], sender="notebook", epoch=kernel.epoch) == 1
    for _ in range(MAX_SENDERS + 1):
        await kernel.request(Channel.CONTROL, interrupt(0).parts)
    assert await kernel.accept([interrupt(1)], sender="notebook", epoch=kernel.epoch) == 0
    assert await kernel.accept([interrupt(2)], sender="notebook", epoch=kernel.epoch) == 1


async def test_agent_that_listens_is_no_peer() -> None:
    kernel = make_kernel()
    with contextlib.ExitStack() as stack:
        stack.enter_context(kernel.reading("notebook"))
        stack.enter_context(kernel.listening())
        assert kernel.peers_of("notebook") == 0
        stack.enter_context(kernel.reading("other"))
        assert kernel.peers_of("notebook") == 1
