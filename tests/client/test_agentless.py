"""Cells in a built-in interpreter without an agent: what they show, and what of it is not theirs."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from remote_kernel.client.interpreter.agentless import AgentlessRoute
from remote_kernel.client.interpreter.cells import Cells, Lost
from remote_kernel.client.link.link import Link
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.identity import Identifier
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.wire import frames as wire
from remote_kernel.pod.clock import utc_now
from tests.client.counting import CountingClient
from tests.client.front_end import FrontEnd, execute, followed, run
from tests.client.serving import Answer, serve
from tests.driver import Pool

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Pool]:
    with Pool.start("--flavor", "interpreter", "--max-sessions", "10", "--cooldown", "600") as pool:
        yield pool


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    """One session for all tests: what a cell leaves behind is what the next one meets."""
    return Identifier(f"plain-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def client(interpreters: Pool, identifier: Identifier) -> CountingClient:
    return CountingClient(interpreters.endpoint, interpreters.token, identifier)


@pytest.fixture
def plain(client: CountingClient) -> AgentlessRoute:
    return AgentlessRoute(client, "the test has none")


@pytest.fixture
async def linked(
    client: CountingClient, plain: AgentlessRoute
) -> AsyncIterator[tuple[Link, FrontEnd, CountingClient]]:  # fmt: skip
    front_end = FrontEnd()
    link = Link(plain, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0)
    async with followed(link, plain, client):
        await run(link, front_end, "pass")  # the notice
        front_end.messages.clear()
        yield link, front_end, client


Linked = tuple[Link, FrontEnd, CountingClient]


def contents(front_end: FrontEnd, msg_type: str) -> list[dict[str, Any]]:
    return [parse_object(m.parts[3]) for m in front_end.messages if parse_header(m.parts[0]).msg_type == msg_type]


async def test_logging_that_one_cell_sets_up_shows_in_the_next(linked: Linked) -> None:
    link, front_end, _ = linked
    await run(link, front_end, "import logging; logging.basicConfig(format='%(message)s', force=True)")
    for text in ("first", "second"):
        await run(link, front_end, f"logging.warning('{text}'); print('and this')")
    assert front_end.printed() == "first\nand this\nsecond\nand this\n"


async def test_a_display_shows_what_it_was_when_it_was_made(linked: Linked) -> None:
    link, front_end, _ = linked
    code = """\
import datetime
value = {"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "rows": [1]}
display({"application/json": value}, raw=True)
value["rows"].append(2)"""
    await run(link, front_end, code)
    assert contents(front_end, "display_data")[0]["data"]["application/json"] == {
        "at": "2026-01-01T00:00:00Z",
        "rows": [1],
    }


async def test_a_display_that_cannot_be_sent_is_the_error_of_its_line(linked: Linked) -> None:
    link, front_end, _ = linked
    reply = await run(link, front_end, "print('before'); display({'application/json': {(1, 2): object()}}, raw=True)")
    assert parse_object(reply.parts[3])["ename"] == "ValueError"
    assert "object" in parse_object(reply.parts[3])["evalue"]
    assert front_end.printed() == "before\n"


async def test_an_answer_that_cannot_be_sent_is_an_error(linked: Linked) -> None:
    link, front_end, _ = linked
    await run(link, front_end, "k = get_ipython().kernel; k.do_complete = lambda *_: {'matches': object()}")
    question = ask("complete_request", {"code": "pri", "cursor_pos": 3})
    link.send(question)
    await front_end.wait(lambda: front_end.reply_to(question))
    reply = front_end.reply_to(question)
    assert reply is not None
    assert parse_object(reply.parts[3])["ename"] == "TypeError"
    await run(link, front_end, "del k.do_complete, k")


@pytest.mark.parametrize("msg_type", ["execute_request", "complete_request"])
async def test_a_request_that_cannot_be_read_is_answered_and_the_next_is_served(linked: Linked, msg_type: str) -> None:
    link, front_end, _ = linked
    broken = ask(msg_type, [])
    link.send(broken)
    await run(link, front_end, "print('served')")
    reply = front_end.reply_to(broken)
    assert reply is not None
    assert parse_object(reply.parts[3])["status"] == "error"
    assert front_end.has_finished(broken)
    assert front_end.printed() == "served\n"


async def test_cells_with_the_same_id_are_different_cells(linked: Linked) -> None:
    link, front_end, _ = linked
    first, second = execute("print('first')"), execute("print('second')")
    link.send(first)
    link.send(second._replace(parts=(first.parts[0], *second.parts[1:])))
    await front_end.wait(lambda: len(contents(front_end, "execute_reply")) == 2)
    assert front_end.printed() == "first\nsecond\n"


async def test_what_keeps_the_session_warm_is_an_execution_of_what_the_pool_counts(
    linked: Linked, plain: AgentlessRoute
) -> None:
    _, front_end, client = linked
    assert front_end.hellos[0].cooldown_seconds == 600.0
    client.paths.clear()
    assert await plain.request("GET", wire.SESSION_PATH) == {"kernels": [{"epoch": front_end.hellos[0].epoch}]}
    assert client.paths == ["/executions"]


async def test_a_session_that_was_found_gone_while_it_is_kept_warm_is_told(
    linked: Linked, plain: AgentlessRoute
) -> None:
    _, front_end, client = linked
    await client.request("DELETE", "/session")
    await plain.request("GET", wire.SESSION_PATH)
    await front_end.wait(lambda: front_end.errors)
    assert [type(error) for error in front_end.errors] == [SessionLost]


NAME = Identifier("plain-without-a-pool")


async def test_a_pool_that_never_says_what_became_of_a_cell_is_asked_for_as_long_as_cells_may_take() -> None:
    with serve(lambda request: (500, {}, b"")) as port:
        client = CountingClient(f"http://127.0.0.1:{port}", "token", NAME)
        ran = await Cells(client, limit_seconds=0.5).run("an epoch", "1", is_silent=False)
        await client.aclose()
    assert ran.error is not None
    assert ran.error["evalue"].startswith("What became of the cell is not known: for longer than a cell may take, the ")
    assert "%session reset" in ran.error["evalue"]
    assert client.paths.count("/executions") > 1


async def test_a_pool_that_is_full_and_has_no_session_has_lost_the_one_of_a_cell() -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer:
        return (429 if "/executions" in request.path else 404), {}, b""

    with serve(answer) as port:
        client = CountingClient(f"http://127.0.0.1:{port}", "token", NAME)
        with pytest.raises(Lost):
            await Cells(client).run("an epoch", "1", is_silent=False)
        await client.aclose()
    assert client.paths.count("/executions") == 1, "nobody waits to hear that"


def ask(msg_type: str, content: Any) -> wire.Message:
    parts = Author(uuid.uuid4().hex).write(msg_type, {}, date=utc_now())
    return wire.Message(channel=wire.Channel.SHELL, parts=(*parts[:3], json.dumps(content).encode()))
