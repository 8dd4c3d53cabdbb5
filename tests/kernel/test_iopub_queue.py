"""The queue of iopub messages, on a socket that takes as much as it is told to."""

from collections import deque
from collections.abc import Sequence
from typing import cast

import zmq

from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.kernel.frontend.iopub_queue import MAX_READ_AT_ONCE, TOPIC, IopubQueue
from remote_kernel.kernel.frontend.timings import Timings

SUBSCRIPTION = b"\x01"


class Publisher:
    """An XPUB socket, as the queue uses it.

    Attributes:
        frames: what its subscribers have sent.
        room: how many messages the slowest of them takes.
        sent: what it has taken.
    """

    def __init__(self) -> None:
        self.zmq = self
        self.frames: deque[bytes] = deque()
        self.room = 0
        self.sent: list[list[bytes]] = []

    def setsockopt(self, _option: int, value: bytes) -> None:
        assert value == b""

    def take_frame(self) -> bytes | None:
        return self.frames.popleft() if self.frames else None

    def send(self, frames: Sequence[bytes]) -> None:
        if not self.room:
            raise zmq.Again
        self.room -= 1
        self.sent.append(list(frames))


def queue_at(publisher: Publisher) -> IopubQueue:
    return IopubQueue(cast(ZmqSocket, publisher), lambda topic: [topic, b"welcome"], Timings())


def test_subscriptions_without_end_take_no_memory_and_leave_output_its_turn() -> None:
    publisher = Publisher()
    queue = queue_at(publisher)
    contents = [b"%d" % number for number in range(100)]
    for content in contents:
        publisher.frames += [SUBSCRIPTION + b"%s %d" % (content, other) for other in range(10)]
        publisher.frames += [SUBSCRIPTION] * 10
        queue.admit()
        publisher.room = 1
        queue.put([TOPIC, content])
    published = [content for topic, content in publisher.sent if topic]
    assert published == contents[: len(contents) // 2], "one for each welcome"
    publisher.room = 1_000
    queue.admit()
    assert [content for topic, content in publisher.sent if topic] == contents
    assert len(publisher.sent) <= len(contents) + len(contents) // 2 + 1


def test_topics_of_which_nothing_is_ever_published_are_not_welcomed() -> None:
    publisher = Publisher()
    queue = queue_at(publisher)
    publisher.frames += [SUBSCRIPTION + topic for topic in (b"\xff" * 4_000, b"kernel.", b"remote.x", TOPIC, b"rem")]
    publisher.room = 100
    queue.admit()
    assert publisher.sent == [[b"rem", b"welcome"], [TOPIC, b"welcome"]]


def test_however_many_subscribe_before_it_a_front_end_is_welcomed_first() -> None:
    publisher = Publisher()
    queue = queue_at(publisher)
    publisher.room = 100
    publisher.frames += [SUBSCRIPTION + b"%d" % number for number in range(50)] + [SUBSCRIPTION]
    queue.admit()
    queue.put([TOPIC, b"output"])
    assert publisher.sent == [[b"", b"welcome"], [TOPIC, b"output"]]


def test_who_is_let_in_by_a_stranger_s_frame_is_welcomed_before_its_own_is_read() -> None:
    """ZeroMQ takes a frame that is no subscription for the turn of whoever has subscribed behind it."""
    publisher = Publisher()
    queue = queue_at(publisher)
    publisher.room = 100
    publisher.frames += [b"x"] * MAX_READ_AT_ONCE + [SUBSCRIPTION]
    queue.admit()
    queue.put([TOPIC, b"output"])
    assert publisher.sent == [[b"", b"welcome"], [TOPIC, b"output"]]
