"""The waiting line is seen while a cell waits, and is in nothing that is kept of it."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from remote_kernel.client.retry import Wait
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import Channel
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output.waiting_line import Patience, WaitingLine
from remote_kernel.kernel.requests.request import Event, Request

pytestmark = pytest.mark.anyio

Output = dict[str, Any]

AT_ONCE = Patience(attended=0.0, unattended=0.0)
FULL = Wait("waiting for a free session", "2 of 2 in use")


class Cell:
    """A cell in the front end: what is said in it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Mapping[str, Any]]] = []
        self.has_news = asyncio.Event()

    def say(self, msg_type: str, content: Mapping[str, Any], _parent: bytes = b"{}") -> None:
        self.messages.append((msg_type, content))
        self.has_news.set()

    async def wait_news(self) -> None:
        await asyncio.wait_for(self.has_news.wait(), 30)

    def kept(self, *heeded: str) -> list[Output]:
        """Return the outputs that a tool keeps which heeds only these messages besides `display_data`."""
        outputs: dict[str, Output] = {}
        for msg_type, content in self.messages:
            if msg_type == "clear_output" and msg_type in heeded:
                outputs.clear()
            elif msg_type in {"display_data", *heeded} - {"clear_output"}:
                outputs[content["transient"]["display_id"]] = content["data"]
        return list(outputs.values())


@pytest.fixture
def cell(anyio_backend: str) -> Cell:
    return Cell()


@pytest.fixture
def warnings() -> Iterator[asyncio.Queue[LogEvent]]:
    """What the kernel says on standard error."""
    told: asyncio.Queue[LogEvent] = asyncio.Queue()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert isinstance(record.msg, LogEvent)
            told.put_nowait(record.msg)

    handler = Handler(logging.WARNING)
    logging.getLogger("remote_kernel").addHandler(handler)
    yield told
    logging.getLogger("remote_kernel").removeHandler(handler)


def request(*, is_attended: bool = True, shows_waiting: bool = False) -> Request:
    parts = (b'{"msg_id": "1", "msg_type": "execute_request"}', b"{}", b"{}", b"{}")
    made = Request.parse(Channel.SHELL, [], parts)
    made.is_attended, made.shows_waiting = is_attended, shows_waiting
    return made


def wait_in(cell: Cell, waiting: Request) -> WaitingLine:
    line = WaitingLine(cast(Channels, cell), AT_ONCE)
    line.begin(FULL, waiting)
    return line


@pytest.mark.parametrize(
    "make", [request, lambda: request(is_attended=False, shows_waiting=True)], ids=["a person", "our own command"]
)
async def test_who_looks_sees_the_line_while_it_is_true(cell: Cell, make: Callable[[], Request]) -> None:
    line = wait_in(cell, make())
    await cell.wait_news()
    (shown,) = cell.kept("clear_output", "update_display_data")
    assert shown["text/plain"] == "waiting for a free session, 00:00 (2 of 2 in use)"
    line.end()
    assert cell.kept("clear_output", "update_display_data") == []


async def test_who_keeps_outputs_and_passes_over_clear_output_keeps_no_word_of_it(cell: Cell) -> None:
    line = wait_in(cell, request())
    await cell.wait_news()
    line.end()
    assert cell.kept("update_display_data") == [{}]


async def test_what_executes_notebooks_by_itself_keeps_nothing_and_tells_it_on_standard_error(
    cell: Cell, warnings: asyncio.Queue[LogEvent]
) -> None:
    line = wait_in(cell, request(is_attended=False))
    told = await asyncio.wait_for(warnings.get(), 30)
    assert (told.name, told.fields) == ("waiting", {"reason": FULL.reason, "detail": FULL.detail})
    line.end()
    assert cell.messages == []


async def test_line_amid_the_output_of_a_cell_says_how_long_it_was(cell: Cell) -> None:
    waiting = request()
    for event in (Event.IS_SENT, Event.BUSY):
        waiting.move(event)
    line = wait_in(cell, waiting)
    await cell.wait_news()
    line.end()
    (shown,) = cell.kept("clear_output", "update_display_data")
    assert shown["text/plain"] == "waiting for a free session: over after 00:00"
