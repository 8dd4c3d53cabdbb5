"""Our own questions to the kernel in the pod."""

from typing import cast

import pytest

from remote_kernel.client.link.link import Link
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.requests import pod_queries
from remote_kernel.kernel.requests.pod_queries import PodQueries
from remote_kernel.pod.clock import utc_now

pytestmark = pytest.mark.anyio


class Line:
    """A link to a kernel that has a magic, and is busy at times."""

    is_attached = True

    def __init__(self, asked: PodQueries) -> None:
        self.is_busy = False
        self._asked = asked

    def send(self, message: Message) -> None:
        if not self.is_busy:
            content = {"user_expressions": {"has": {"data": {"text/plain": "True"}}}}
            parts = Author("pod").write("execute_reply", content, parent=message.parts[0], date=utc_now())
            assert parse_header(parts[1]).msg_id
            assert self._asked.takes(Message(channel=Channel.SHELL, parts=parts))


async def test_no_news_of_a_magic_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of ours must not be done because the kernel that has one of this name is busy."""
    monkeypatch.setattr(pod_queries, "PATIENCE_SECONDS", 0.01)
    asked = PodQueries()
    line = Line(asked)
    link = cast(Link, line)
    assert await asked.has_magic(link, "session")
    line.is_busy = True
    assert await asked.has_magic(link, "session")
    assert not await asked.has_magic(link, "other")
