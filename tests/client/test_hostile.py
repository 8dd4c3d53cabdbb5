"""What a hostile pod, or a hostile front door, can make a client hold, wait for and believe."""

import asyncio
import base64
import gzip
import json
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remote_kernel.client.files.download import Choice, Download
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.files.upload import Upload, plan_upload
from remote_kernel.client.http.transport import DEFAULT_TIMINGS, Timings
from remote_kernel.client.interpreter.bridge import Bridge
from remote_kernel.client.interpreter.cells import Cells, Unreadable
from remote_kernel.client.interpreter.executions import Executions
from remote_kernel.client.link import events
from remote_kernel.client.link.link import Link
from remote_kernel.core import limits
from remote_kernel.core.errors import (
    NoAnswer,
    PoolError,
    PoolFull,
    PoolRefused,
    PoolUnreachable,
    TransferError,
)
from remote_kernel.core.interpreter_api.versions import EXECUTIONS_PATH, LIST_SESSIONS_PATH, METADATA_PATH
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, LIST_MANAGED_PATH
from remote_kernel.core.pools.local_pool import STATUS_PATH
from remote_kernel.core.wire import codec, files
from remote_kernel.core.wire import frames as wire
from tests.client.front_end import FrontEnd, execute, followed
from tests.client.hostile import (
    SLACK_BYTES,
    Asked,
    Hostile,
    deflated,
    endless,
    frame_of,
    head,
    hello,
    hostile,
    printed_for,
    say,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["http", "https"])
def context(
    request: pytest.FixtureRequest, server_certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext | None:
    """Both ways to a pool: our own client, and httpx behind TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    return server_certificate if request.param == "https" else None


async def refused(server: Hostile, method: str, path: str, timings: Timings = DEFAULT_TIMINGS) -> PoolError:
    """Ask for something that is not taken, and return the error."""
    pool = server.pool(timings=timings)
    try:
        with pytest.raises(PoolError) as raised:
            await pool.request(method, path)
    finally:
        await pool.aclose()
    return raised.value


# Answers

KINDS = [
    ("POST", wire.MESSAGES_PATH, limits.ANSWER),
    ("POST", files.CONTENT_PATH, limits.ANSWER),
    ("GET", wire.SESSION_PATH, limits.SESSION),
    ("GET", STATUS_PATH, limits.SESSION),
    ("GET", files.FILES_PATH, limits.LISTING),
    ("POST", files.BATCH_PATH, limits.FILE_NAMES),
    ("POST", files.FETCH_PATH, limits.FILE_PIECE),
    ("POST", files.REMOVE_PATH, limits.FILE_NAMES),
    ("GET", METADATA_PATH, limits.SESSION),
    ("GET", LIST_SESSIONS_PATH, limits.SESSION_LIST),
    ("POST", LIST_MANAGED_PATH, limits.SESSION_LIST),
    ("POST", GET_SESSION_PATH, limits.ANSWER),
    ("POST", EXECUTIONS_PATH, limits.EXECUTION),
    ("GET", f"{EXECUTIONS_PATH}/x", limits.EXECUTION),
    ("GET", "/anything", limits.ANSWER),
]


@pytest.mark.parametrize(("method", "path", "limit"), KINDS, ids=[path for _, path, _ in KINDS])
async def test_an_answer_is_read_to_the_bound_of_its_kind(
    method: str, path: str, limit: limits.Limit, context: ssl.SSLContext | None
) -> None:
    async with hostile(lambda _: endless(), context) as server:
        error = await refused(server, method, path)
        assert isinstance(error, PoolUnreachable)
        assert "larger than it may be" in str(error)
        assert server.taken_bytes < (limit.bytes or 0) + SLACK_BYTES


async def test_of_a_refusal_s_endless_page_the_status_counts(context: ssl.SSLContext | None) -> None:
    async with hostile(lambda _: endless(418, filling=b"<p>"), context) as server:
        error = await refused(server, "GET", wire.SESSION_PATH)
        assert isinstance(error, PoolRefused)
        assert error.status == 418
        assert server.taken_bytes < SLACK_BYTES


async def test_a_sentence_of_a_refusal_is_as_long_as_sentences_are() -> None:
    body = {"error": {"code": "c" * 5000, "message": "m" * 50_000}}
    async with hostile(lambda _: say(body, 400)) as server:
        error = await refused(server, "GET", wire.SESSION_PATH)
    assert isinstance(error, PoolRefused)
    assert len(str(error)) == 2000
    assert len(error.code) == 100


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZip"])
async def test_compression_that_was_not_asked_for_is_refused(encoding: str, context: ssl.SSLContext | None) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with hostile(lambda _: whole(bomb, content_encoding=encoding), context) as server:
        error = await refused(server, "GET", wire.SESSION_PATH)
        assert "compressed, which was not asked for" in str(error)
        assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_no_redirect_is_followed(context: ssl.SSLContext | None) -> None:
    async with hostile(lambda _: say({}, 307, location="/elsewhere"), context) as server:
        assert isinstance(await refused(server, "GET", wire.SESSION_PATH), PoolRefused)
        assert len(server.asked) == 1


async def endless_head() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(20_000):
        yield b"x-%d: %b\r\n" % (number, b"y" * 10_000)


async def endless_field() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx: "
    for _ in range(20_000):
        yield b"y" * 10_000


async def endless_promises() -> AsyncIterator[bytes]:
    for _ in range(20_000):
        yield b"HTTP/1.1 103 Early Hints\r\nlink: " + b"y" * 10_000 + b"\r\n\r\n"


async def endless_trailer() -> AsyncIterator[bytes]:
    yield head(transfer_encoding="chunked") + b"2\r\n{}\r\n0\r\n"
    for number in range(20_000):
        yield b"x-%d: %b\r\n" % (number, b"y" * 10_000)


@pytest.mark.parametrize("answer", [endless_head, endless_field, endless_promises, endless_trailer])
async def test_a_head_that_does_not_end_is_given_up(answer: object, context: ssl.SSLContext | None) -> None:
    if context is not None and answer is endless_promises:
        pytest.skip("httpx takes any number of promises, for as long as an answer may take")
    async with hostile(lambda _: answer(), context) as server:  # type: ignore[operator]
        assert isinstance(await refused(server, "GET", wire.SESSION_PATH), PoolUnreachable)
        assert server.taken_bytes < SLACK_BYTES


async def promises() -> AsyncIterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"
        await asyncio.sleep(0.01)


async def test_an_answer_that_is_only_ever_promised_is_given_up(context: ssl.SSLContext | None) -> None:
    async with hostile(lambda _: promises(), context) as server:
        pool = server.pool(timings=Timings(connect_seconds=0.2, write_seconds=0.2))
        with pytest.raises(PoolUnreachable):
            await pool.request("GET", wire.SESSION_PATH, read_seconds=0.3)
        await pool.aclose()


async def drips() -> AsyncIterator[bytes]:
    yield head(content_length="60000")
    for _ in range(60_000):
        yield b" "
        await asyncio.sleep(0.01)


async def test_an_answer_that_comes_in_drips_is_given_up(context: ssl.SSLContext | None) -> None:
    async with hostile(lambda _: drips(), context) as server:
        assert "in drips" in str(await refused(server, "GET", wire.SESSION_PATH, Timings(drip_seconds=0.2)))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"accepted": 1, "a": ' + b"[" * 50 + b"]" * 50 + b"}",
        b'{"accepted": 1, "a": NaN}',
        b'{"accepted": 1, "a": -Infinity}',
        b'{"accepted": 1, "a": 1e999}',
        b'{"accepted": 1, "a": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
    ],
    ids=["very deep", "deep", "NaN", "Infinity", "1e999", "5,000 digits", "no text"],
)
async def test_json_that_is_none_as_it_may_be_is_no_answer(body: bytes) -> None:
    async with hostile(lambda _: whole(body)) as server:
        pool = server.pool()
        assert await pool.request("POST", wire.MESSAGES_PATH) == {}
        await pool.aclose()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("99999", 60.0), ("9" * 30, None), ("-5", None), ("nan", None), ("1e9", None), ("", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)  # fmt: skip
async def test_a_full_pool_does_not_decide_how_long_is_waited(text: str, seconds: float | None) -> None:
    async with hostile(lambda _: say({}, 429, retry_after=text)) as server:
        error = await refused(server, "GET", wire.SESSION_PATH)
    assert isinstance(error, PoolFull)
    assert error.retry_after_seconds == seconds


# Events


@asynccontextmanager
async def linked_to(server: Hostile) -> AsyncIterator[tuple[Link, FrontEnd]]:
    pool, front_end = server.pool(), FrontEnd()
    link = Link(pool, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0)
    async with followed(link, pool):
        yield link, front_end


class Ticks:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Listening(FrontEnd):
    """Notes in which turn of the loop it hears what."""

    def __init__(self, ticks: Ticks) -> None:
        super().__init__()
        self._ticks = ticks
        self.heard: dict[int, int] = {}

    async def take(self, event: events.Event) -> None:
        if isinstance(event, events.Joined):
            self.heard[self._ticks.count] = self.heard.get(self._ticks.count, 0) + 1
        await super().take(event)


async def test_a_flood_of_frames_leaves_others_their_turn() -> None:
    flood = codec.encode(wire.Peers(count=1)) * 20_000
    async with hostile(lambda _: stream(hello(), flood, codec.encode(wire.Peers(count=2)))) as server:
        ticks = Ticks()
        front_end, pool = Listening(ticks), server.pool()
        link = Link(
            pool, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0
        )
        async with followed(link, pool):
            link.open()
            await front_end.wait(lambda: front_end.peers and front_end.peers[-1] == 2)
        await ticks.aclose()
    assert len(front_end.peers) == 20_001
    assert max(front_end.heard.values()) <= 2 * codec.FRAMES_AT_ONCE


def bomb_of_keepalives() -> bytes:
    """Return 64 KB of compressed frames that stand for 8.8 million."""
    frame = frame_of(wire.FrameType.COMPRESSED, deflated(codec.encode(wire.Keepalive()) * 100, 2000))
    return frame * (64 * 1024 // len(frame))


class CompressingPool:
    """Makes a pool on this machine one that is worth compressing for."""

    def __init__(self, server: Hostile) -> None:
        self._pool = server.pool()

    def __getattr__(self, name: str) -> object:
        return True if name == "should_compress" else getattr(self._pool, name)


@pytest.mark.parametrize("is_asked_for", [True, False])
async def test_compressed_frames_that_become_too_much_cost_the_connection(is_asked_for: bool) -> None:
    bomb = bomb_of_keepalives()
    connections = 0

    def answer(_asked: Asked) -> AsyncIterator[bytes]:
        nonlocal connections
        connections += 1
        good = stream(hello(), codec.encode(wire.Peers(count=7)))
        return stream(hello(), bomb) if connections == 1 else good

    async with hostile(answer) as server:
        front_end = FrontEnd()
        pool = CompressingPool(server) if is_asked_for else server.pool()
        link = Link(
            pool, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0  # type: ignore[arg-type]
        )  # fmt: skip
        async with followed(link, pool):  # type: ignore[arg-type]
            began = time.process_time()
            link.open()
            await front_end.wait(lambda: front_end.peers == [7])
            assert time.process_time() - began < 2.0
        asked = [wire.COMPRESS_PARAM in each.params for each in server.asked if each.path == wire.EVENTS_PATH]
        assert asked == [is_asked_for, False]
    assert front_end.errors == []


@pytest.mark.parametrize(
    "frames",
    [
        hello(cursor=2**64),
        hello(last=2**64 - 1),
        hello(cursor=-1),
        hello(cooldown_seconds=float("nan")),
        hello(epoch=""),
        hello(kernel_info=json.loads('{"a":' * 100 + "1" + "}" * 100)),
        hello() + codec.encode(wire.Gap(first=1, last=2**64)),
        hello() + codec.encode(wire.Gap(first=5, last=1)),
        hello() + codec.encode(wire.EpochChange(epoch="e2", sequence=2**64, reason="died", detail="")),
        hello() + codec.encode(wire.Message(channel=wire.Channel.IOPUB, parts=(b"{}",) * 4, sequence=2**64 - 1)),
        hello() + b"\xff\xff\xff\xff\x03",
        hello() + hello(),
        codec.encode(wire.Keepalive()) + hello(),
    ],
)
async def test_numbers_that_nothing_has_cost_the_connection_and_nothing_else(frames: bytes) -> None:
    connections = 0

    def answer(_asked: Asked) -> AsyncIterator[bytes]:
        nonlocal connections
        connections += 1
        return stream(frames) if connections == 1 else stream(hello(), codec.encode(wire.Peers(count=7)))

    async with hostile(answer) as server, linked_to(server) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.peers == [7])
        assert link.position is not None
        assert link.position.cursor == 0
    assert front_end.errors == []


@pytest.mark.parametrize("cooldown", [0, -1.0])
async def test_a_cooldown_of_nothing_does_not_make_us_call_all_the_time(cooldown: float) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return stream(hello(cooldown_seconds=cooldown)) if asked.path == wire.EVENTS_PATH else say({"kernels": []})

    async with hostile(answer) as server, linked_to(server) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.hellos)
        began = time.monotonic()
        while server.count(wire.SESSION_PATH) < 3:
            server.wakeups.clear()
            await server.wakeups.wait()
        assert time.monotonic() - began > 0.6
        assert link.keep_alive.cooldown_seconds == 1.0


async def test_a_cooldown_of_ages_is_a_day() -> None:
    async with (
        hostile(lambda _: stream(hello(cooldown_seconds=1e300))) as server,
        linked_to(server) as (link, front_end),
    ):
        link.open()
        await front_end.wait(lambda: front_end.hellos)
        assert link.keep_alive.cooldown_seconds == 86_400.0


async def test_streams_that_end_at_once_do_not_make_us_call_all_the_time() -> None:
    async with (
        hostile(lambda _: stream(hello(), codec.encode(wire.End(reason="cap")), ends=True)) as server,
        linked_to(server) as (link, front_end),
    ):
        link.open()
        await front_end.wait(lambda: front_end.hellos)
        began = time.monotonic()
        await front_end.wait(lambda: len(front_end.hellos) >= 3)
        assert time.monotonic() - began > 0.6


async def test_a_pod_that_misses_an_epoch_that_was_not_named_costs_the_cell_that_asked() -> None:
    refusal = {"error": {"code": wire.EPOCH_MISMATCH, "message": "No."}}
    async with hostile(lambda _: say(refusal, 409)) as server, linked_to(server) as (link, front_end):
        link.send(execute("1"))
        await front_end.wait(lambda: front_end.errors)
        assert link.waiting_bytes == 0
        assert server.count(wire.EVENTS_PATH) == 1
    assert [str(error) for error in front_end.errors] == ["No."]


async def test_a_message_s_answer_that_does_not_end_costs_that_request() -> None:
    posts = 0

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        nonlocal posts
        if asked.path == wire.EVENTS_PATH:
            return stream(hello())
        posts += 1
        return endless() if posts == 1 else say({"accepted": 1, "kernels": 1})

    async with hostile(answer) as server, linked_to(server) as (link, front_end):
        link.send(execute("1"))
        await front_end.wait(lambda: front_end.deliveries)
        assert link.waiting_bytes == 0
        assert server.taken_bytes < SLACK_BYTES
    assert front_end.errors == []


# Files

METADATA = {
    "pod": "pod", "path": "a.txt", "is_folder": False, "size": 10, "modified": 1e300, "version": "v", "sha256": "0",
}  # fmt: skip


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def file_server(asked: Asked) -> AsyncIterator[bytes]:
    return say(METADATA) if asked.path == files.METADATA_PATH else endless(filling=b"x")


async def test_a_file_of_ten_bytes_does_not_become_a_gigabyte(tmp_path: Path) -> None:
    async with hostile(file_server) as server:
        pool = server.pool()
        download = Download(RemoteFiles(pool), Progress(is_upload=False), to=tmp_path, patience_seconds=5.0)
        with pytest.raises(TransferError, match=r"more of 'a.txt' than it has announced"):
            await download.run(await download.plan(["a.txt"]), Choice.REPLACE)
        await pool.aclose()
        assert server.taken_bytes < SLACK_BYTES
    assert size_of(tmp_path) <= 10


async def test_times_that_no_calendar_has_are_the_last_one_that_has() -> None:
    async with hostile(file_server) as server:
        pool = server.pool()
        metadata = await RemoteFiles(pool).describe("a.txt")
        await pool.aclose()
    assert time.gmtime(metadata.modified).tm_year == 3000


def entries(start: int, count: int, name: str = "f{}") -> list[dict[str, object]]:
    return [
        {"path": name.format(start + number), "is_folder": False, "size": 1, "modified": 0.0} for number in range(count)
    ]


@pytest.mark.parametrize(
    ("listing", "text"),
    [
        (lambda start: {"entries": entries(start, 1000), "next": start + 1000}, "more than 5,000 files"),
        (lambda start: {"entries": entries(start, 100, "x" * 4000 + "{}"), "next": start + 100}, "too long names"),
        (lambda start: {"entries": entries(start, 1), "next": start + 1}, "in too small pieces"),
        (lambda _start: {"entries": entries(0, 10), "next": 10}, "does not come to an end"),
        (lambda _start: {"entries": [], "next": 1}, "does not come to an end"),
        (lambda start: {"entries": entries(start, 10), "next": start + 5}, "does not come to an end"),
    ],
    ids=["endless", "long names", "in small pieces", "the same again", "nothing", "back"],
)
async def test_a_listing_without_an_end_is_given_up(listing: object, text: str) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return say({"pod": "pod", **listing(int(asked.params["start"]))})  # type: ignore[operator]

    async with hostile(answer) as server:
        pool = server.pool()
        with pytest.raises(TransferError, match=text):
            await RemoteFiles(pool, limit=limits.LISTING._replace(entries=5000, name_chars=100_000, pages=100)).list(
                "folder"
            )
        await pool.aclose()
        assert len(server.asked) <= 100
        assert server.taken_bytes < 1_000_000


@pytest.mark.parametrize(
    "listing",
    [
        {"entries": entries(0, 1001), "next": 0},
        {"entries": [{"path": "a", "is_folder": False, "size": -1, "modified": 0.0}], "next": 0},
        {"entries": [{"path": "a", "is_folder": False, "size": 2**64, "modified": 0.0}], "next": 0},
        {"entries": [{"path": "a", "is_folder": False, "size": True, "modified": 0.0}], "next": 0},
        {"entries": [], "next": -1},
        {"entries": [], "next": "1"},
    ],
)
async def test_a_listing_with_numbers_that_nothing_has_is_unreadable(listing: dict[str, object]) -> None:
    async with hostile(lambda _: say({"pod": "pod", **listing})) as server:
        pool = server.pool()
        with pytest.raises(PoolUnreachable, match="unreadable"):
            await RemoteFiles(pool).list("")
        await pool.aclose()


async def test_an_upload_that_is_never_kept_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    async with hostile(lambda _: say({"pod": "pod", "bytes": 0, "is_complete": False})) as server:
        pool = server.pool()
        upload = Upload(RemoteFiles(pool), Progress(is_upload=True), patience_seconds=5.0)
        with pytest.raises(TransferError, match="does not keep"):
            await upload.run(plan_upload(["a"], to="", base=tmp_path))
        await pool.aclose()
        assert len(server.asked) < 20


# Built-in interpreters


async def test_an_exchange_does_not_become_a_gigabyte() -> None:
    bomb = base64.b64encode(deflated(bytes(2**20), 100, b'{"pieces": []}\n')).decode()
    async with hostile(lambda asked: printed_for(asked, lambda _: bomb)) as server:
        pool = server.pool()
        bridge = Bridge(pool)
        with pytest.raises(PoolUnreachable, match="unreadable: an exchange holds more than"):
            await bridge.request("GET", wire.SESSION_PATH)
        await bridge.aclose()
        await pool.aclose()


async def test_an_agent_s_answer_has_a_bound_over_all_of_its_pieces() -> None:
    """Each exchange brings as much as one may, and the answer does not end."""

    def pieces(argument: dict[str, object]) -> str:
        asked = json.loads(zlib.decompress(base64.b64decode(str(argument["exchange"]))).partition(b"\n")[0])
        ids = [*(call[0] for call in asked["calls"]), *asked["reads"]]
        heads = [[id_, 200, 2**20, False, True] for id_ in ids]
        blobs = bytes(2**20) * len(ids)
        return base64.b64encode(zlib.compress(json.dumps({"pieces": heads}).encode() + b"\n" + blobs)).decode()

    async with hostile(lambda asked: printed_for(asked, pieces)) as server:
        pool = server.pool()
        bridge = Bridge(pool)
        with pytest.raises(PoolUnreachable, match="more than an answer may have"):
            await bridge.request("POST", wire.MESSAGES_PATH)
        await bridge.aclose()
        await pool.aclose()
        assert len(server.asked) < 10


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


HERE = {"status": "here", "epoch": "plain-1", "cooldown": "300", "kernel_info": {}}


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "-1 x",
        f"{'9' * 5000} x",
        f"1 {packed([])}",
        f"1 {packed({})}",
        f"1 {packed({'status': 7})}",
        f"1 {packed({**HERE, 'epoch': ''})}",
        f"1 {packed({**HERE, 'epoch': 5})}",
        f"1 {packed({**HERE, 'kernel_info': []})}",
        f"1 {packed({'status': 'here'})}",
    ],
    ids=[
        "no length", "negative", "5,000 digits", "a list", "no status", "no text", "no epoch", "a number",
        "no info", "nothing else",
    ],
)  # fmt: skip
async def test_an_interpreter_that_says_something_else_is_unreadable(text: str) -> None:
    async with hostile(lambda asked: printed_for(asked, lambda _: text)) as server:
        pool = server.pool()
        with pytest.raises(PoolUnreachable):
            await Cells(pool).find("")
        await pool.aclose()


async def test_a_cell_that_becomes_a_gigabyte_is_not_unpacked() -> None:
    bomb = base64.b64encode(deflated(bytes(2**20), 130)).decode()
    async with hostile(lambda asked: printed_for(asked, lambda _: f"{len(bomb)} {bomb}")) as server:
        pool = server.pool()
        with pytest.raises(Unreadable):
            await Cells(pool).find("")
        await pool.aclose()


@pytest.mark.parametrize("cooldown", ["0", "-3", "nan", "inf", "1e300", 5, None, []])
async def test_an_interpreter_s_cooldown_is_one_that_there_is(cooldown: object) -> None:
    text = packed({**HERE, "cooldown": cooldown})
    async with hostile(lambda asked: printed_for(asked, lambda _: f"1 {text}")) as server:
        pool = server.pool()
        assert 1.0 <= (await Cells(pool).find("")).cooldown_seconds <= 86_400.0
        await pool.aclose()


async def test_a_cell_s_answer_that_does_not_end_is_given_up() -> None:
    part = "x" * 900_000
    async with hostile(lambda asked: printed_for(asked, lambda _: f"{10**18} {part}")) as server:
        pool = server.pool()
        with pytest.raises(Unreadable, match="more than a cell may show"):
            await Cells(pool).find("")
        await pool.aclose()
        assert len(server.asked) < 100


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "done", "count": -1, "shown": []},
        {"status": "done", "count": 1e300, "shown": []},
        {"status": "done", "count": 1, "shown": [["shutdown_reply", {}]]},
        {"status": "done", "count": 1, "shown": [["stream", []]]},
        {"status": "done", "count": 1, "shown": {}},
        {"status": "done", "count": 1, "shown": [7]},
    ],
)
async def test_a_cell_that_shows_what_no_cell_can_is_unreadable(answer: dict[str, object]) -> None:
    async with hostile(lambda asked: printed_for(asked, lambda _: f"1 {packed(answer)}")) as server:
        pool = server.pool()
        with pytest.raises(PoolUnreachable, match="unreadable"):
            await Cells(pool).run("plain-1", "1", is_silent=False)
        await pool.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "../../x", "status": "Running"},
        {"id": "a?b", "status": "Running"},
        {"id": "a b\r\nx: y", "status": "Running"},
        {"id": 5, "status": "Running"},
        {"id": "x", "status": "Succeeded", "result": {"executionTimeInMilliseconds": "nan"}},
        {"id": "x", "status": "Succeeded", "result": {"executionTimeInMilliseconds": -1}},
        {"id": "x", "status": "Succeeded", "result": {"executionTimeInMilliseconds": 10**400}},
    ],
)
async def test_an_execution_decides_no_path_and_no_number(answer: dict[str, object]) -> None:
    from remote_kernel.client.interpreter.injection import Injection, Module

    async with hostile(lambda _: say(answer)) as server:
        pool = server.pool()
        with pytest.raises(NoAnswer):
            await Executions(pool).run(lambda _: Injection.make(Module.START, {}), seconds=1)
        await pool.aclose()
        assert {asked.path for asked in server.asked} == {EXECUTIONS_PATH}
