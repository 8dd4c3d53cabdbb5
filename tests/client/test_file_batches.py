"""Many files at once, against a real pod and against one that says what it likes."""

import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, SessionLost
from remote_kernel.core.identity import Identifier
from remote_kernel.core.wire.compression import MAX_UNPACKED_BYTES
from remote_kernel.core.wire.file_batches import MAX_FILES, BatchFile, FileVersion, packed_bytes
from remote_kernel.core.wire.files import BATCH_PATH, FETCH_PATH, MAX_ENTRIES, MAX_PIECE_BYTES, REMOVE_PATH
from tests.client.hostile import hostile, say, whole
from tests.client.pod_folder import PodFolder
from tests.driver import Pod

pytestmark = pytest.mark.anyio

TIME = 1_700_000_000.125


class FarAway(PoolClient):
    """A client of a pool that is not on this machine."""

    @property
    def should_compress(self) -> bool:
        return True


@asynccontextmanager
async def remote_files(
    endpoint: str, kind: type[PoolClient] = PoolClient, *, pod: str = ""
) -> AsyncIterator[RemoteFiles]:
    client = kind(ConfiguredAccess(endpoint, "any"), Identifier("any-session"))
    try:
        yield RemoteFiles(client, pod)
    finally:
        await client.aclose()


def file(path: str, content: bytes = b"content", *, is_executable: bool = False) -> BatchFile:
    return BatchFile(path=path, content=content, modified=TIME, is_executable=is_executable)


def shown(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", [PoolClient, FarAway])
async def test_a_batch_is_there_as_a_listing_says(pod: Pod, data: Path, kind: type[PoolClient]) -> None:
    batch = [file("b.py", b"x = 1\n" * 1000), file("sub/run.sh", is_executable=True), file("réseau\n.csv", b"")]
    async with remote_files(pod.endpoint, kind) as files:
        written = await files.write_batch("ws", batch)
        listed = {entry.path: entry for entry in await files.list("ws", is_recursive=True)}
        described = await files.describe("ws/b.py")
    assert [each.path for each in written] == ["b.py", "sub/run.sh", "réseau\n.csv"]
    assert {each.path: each.version for each in written} == {
        path: entry.version for path, entry in listed.items() if not entry.is_folder
    }
    assert (described.version, described.modified) == (written[0].version, TIME)
    assert listed["sub"].version == ""
    assert (data / "ws/b.py").read_bytes() == batch[0].content
    assert (data / "ws/sub/run.sh").stat().st_mode & 0o777 == 0o755


async def test_a_batch_that_does_not_shrink_goes_both_ways(tmp_path: Path) -> None:
    route = PodFolder(tmp_path, piece_bytes=MAX_PIECE_BYTES)
    route.should_compress = True
    files = RemoteFiles(route)
    content = os.urandom(MAX_PIECE_BYTES - packed_bytes("a", 0))
    written = await files.write_batch("", [file("a", content)])
    (read,) = await files.read_batch("", written, files.piece_bytes)
    assert read.content == content


async def test_a_list_of_several_pages_is_of_one_moment(tmp_path: Path) -> None:
    route = PodFolder(tmp_path)
    for number in range(2 * MAX_ENTRIES + 1):
        (tmp_path / f"{number:04d}").touch()

    def remove_first(_path: str) -> None:
        if len(route.requests) == 2:
            (tmp_path / "0000").unlink()

    route.before = remove_first
    assert len(await RemoteFiles(route).list("")) == 2 * MAX_ENTRIES + 1, "none was left out between two pages"
    assert len(await RemoteFiles(route).list("")) == 2 * MAX_ENTRIES


async def test_a_full_batch_goes_through(pod: Pod, data: Path) -> None:
    batch = [file(f"{number % 7}/{number:04d}-{'n' * 100}", b"%d" % number) for number in range(MAX_FILES)]
    async with remote_files(pod.endpoint) as files:
        written = await files.write_batch("", batch)
        assert len(shown(data)) == MAX_FILES + 7
        outcome = await files.remove(written)
    assert (len(outcome.removed), outcome.kept, shown(data)) == (MAX_FILES, [], [])


async def test_an_empty_batch_changes_nothing(pod: Pod, data: Path) -> None:
    async with remote_files(pod.endpoint) as files:
        assert await files.write_batch("ws", []) == []
        assert (await files.remove([])).removed == []
    assert shown(data) == []


async def test_what_has_changed_there_is_kept(pod: Pod, data: Path) -> None:
    async with remote_files(pod.endpoint) as files:
        written = await files.write_batch("ws", [file("a"), file("b")])
        (data / "ws/b").write_bytes(b"CONTENT")
        os.utime(data / "ws/b", (TIME, TIME))
        outcome = await files.remove(written, folder="ws")
    assert (outcome.removed, outcome.kept) == (["a"], ["b"])
    assert shown(data) == ["ws", "ws/b"]


async def test_a_file_in_pieces_has_a_version_a_time_and_a_mode_too(pod: Pod, data: Path) -> None:
    content = b"0123456789"
    sha256 = hashlib.sha256(content).hexdigest()
    async with remote_files(pod.endpoint) as files:
        common: dict[str, Any] = {"size": 10, "sha256": sha256, "modified": TIME, "is_executable": True}
        first = await files.write("x", 0, content[:5], **common)
        assert (first.is_complete, first.version) == (False, "")
        last = await files.write("x", 5, content[5:], **common)
        again = await files.write("x", 5, content[5:], **common)
        assert last == again, "as when the answer was lost"
        assert (last.is_complete, last.version) == (True, (await files.describe("x")).version)
    assert (data / "x").stat().st_mtime == TIME
    assert (data / "x").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", [PoolClient, FarAway])
async def test_files_are_fetched_together_as_far_as_they_fit(pod: Pod, data: Path, kind: type[PoolClient]) -> None:
    async with remote_files(pod.endpoint, kind) as files:
        await files.write_batch("", [file(f"d/{number}", os.urandom(1000)) for number in range(20)])
        listed = [FileVersion(path=each.path, version=each.version) for each in await files.list("d")]
        first = await files.read_batch("d", listed, 10_000)
        assert 5 < len(first) < 10
        found = [*first, *await files.read_batch("d", listed[len(first) :], MAX_PIECE_BYTES)]
        assert {each.path: each.content for each in found} == {
            each.name: each.read_bytes() for each in (data / "d").iterdir()
        }
        with pytest.raises(PoolRefused):
            await files.read_batch("d", [FileVersion(path="a/../../..", version="v")], 1000)


async def test_another_pod_is_a_lost_session(pod: Pod, data: Path) -> None:
    async with remote_files(pod.endpoint, pod="pod-of-yesterday") as files:
        with pytest.raises(SessionLost):
            await files.write_batch("", [file("a")])
        with pytest.raises(SessionLost):
            await files.remove([FileVersion(path="a", version="v")])
    assert shown(data) == []


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "out/a", ""])
async def test_a_path_that_leads_out_is_refused_with_its_reason(pod: Pod, data: Path, path: str) -> None:
    (data / "out").symlink_to("/etc")
    async with remote_files(pod.endpoint) as files:
        with pytest.raises(PoolRefused) as raised:
            await files.write_batch("", [file("good"), file(path)])
    assert raised.value.status == 400
    assert shown(data) == ["out"]


# A client that means harm


def post(pod: Pod, to: str, body: bytes, **params: str) -> tuple[int, str]:
    answer = httpx.post(f"{pod.endpoint}{to}", params=params, content=body, timeout=60)
    return answer.status_code, answer.json()["error"]["code"]


def test_a_bomb_does_not_go_off(pod: Pod, data: Path) -> None:
    head = b'{"files":[["a",1000000000,false,0]]}\n'
    packer = zlib.compressobj(9)
    pieces = [packer.compress(head), *(packer.compress(bytes(MAX_UNPACKED_BYTES)) for _ in range(100)), packer.flush()]
    assert post(pod, BATCH_PATH, b"".join(pieces), compress="zlib") == (400, "WireError")
    assert shown(data) == []


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (BATCH_PATH, b"", "WireError"),
        (BATCH_PATH, b'{"files":[["a",5,false,0]]}\nfour', "WireError"),
        (BATCH_PATH, b'{"files":[["a",1,false,1e999]]}\nx', "WireError"),
        (BATCH_PATH, bytes(MAX_PIECE_BYTES + 1), "BadRequest"),
        (FETCH_PATH, b'{"files":[{"path":"..","version":"v"}]}', "WireError"),
        (FETCH_PATH, b'{"files":[' + b",".join([b'{"path":"a","version":"v"}'] * 1001) + b"]}", "WireError"),
        (REMOVE_PATH, b"", "WireError"),
        (REMOVE_PATH, b'{"files":[{"path":"..","version":"v"}]}', "WireError"),
        (REMOVE_PATH, b'{"files":' + b"[" * 1000 + b"]" * 1000 + b"}", "WireError"),
        (REMOVE_PATH, b'{"files":[' + b",".join([b'{"path":"a","version":"v"}'] * 1001) + b"]}", "WireError"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_cannot_be_understood_changes_nothing(pod: Pod, data: Path, path: str, body: bytes, code: str) -> None:
    (data / "a").touch()
    assert post(pod, path, body) == (400, code)
    assert shown(data) == ["a"]


@pytest.mark.parametrize("mtime", ["now", "nan", "inf", "", "0x1"])
def test_a_time_that_is_none_is_refused(pod: Pod, data: Path, mtime: str) -> None:
    sha256 = hashlib.sha256(b"x").hexdigest()
    answered = post(pod, "/api/v2/files/content", b"x", path="a", offset="0", size="1", sha256=sha256, mtime=mtime)
    assert answered == (400, "BadRequest")
    assert shown(data) == []


def test_a_path_that_nothing_has_ends_in_a_clear_error(pod: Pod) -> None:
    assert post(pod, "/api/v2/files/unheard-of", b"") == (404, "NotFound")


# A pod that means harm

Ask = Callable[[RemoteFiles], Any]


def write(files: RemoteFiles) -> Any:
    return files.write_batch("", [file("a"), file("b")])


def remove(files: RemoteFiles) -> Any:
    return files.remove([FileVersion(path="a", version="v"), FileVersion(path="b", version="v")])


ROW = {"path": "a", "version": "v"}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (write, {"files": [ROW]}),
        (write, {"files": [ROW, ROW]}),
        (write, {"files": [ROW, {"path": "c", "version": "v"}]}),
        (write, {"files": [{"path": "b", "version": "v"}, ROW]}),
        (write, {"files": [ROW, {"path": "../b", "version": "v"}]}),
        (write, {"files": [ROW, {"path": "b", "version": "v" * 129}]}),
        (write, {"files": [ROW] * 1001}),
        (write, {"files": None}),
        (remove, {"removed": ["a"], "kept": []}),
        (remove, {"removed": ["a", "b"], "kept": ["b"]}),
        (remove, {"removed": ["a", "c"], "kept": []}),
        (remove, {"removed": ["a", "b"] * 600, "kept": []}),
        (remove, {"removed": "ab", "kept": []}),
    ],
)
async def test_an_answer_about_other_files_is_none(ask: Ask, said: dict[str, object]) -> None:
    async with hostile(lambda _: say({"pod": "pod", **said})) as server:
        pool = server.pool()
        with pytest.raises(PoolUnreachable):
            await ask(RemoteFiles(pool))
        await pool.aclose()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"files":[["b",0,false,0,"v"]]}\n', b'{"files":[["a",9,false,0,"v"]]}\ntorn'], ids=repr
)
async def test_a_batch_of_something_else_is_none(body: bytes) -> None:
    async with hostile(lambda _: whole(body)) as server:
        pool = server.pool()
        with pytest.raises(PoolUnreachable):
            await RemoteFiles(pool).read_batch("", [FileVersion(path="a", version="v")], 1000)
        await pool.aclose()
