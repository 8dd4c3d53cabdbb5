"""Store of saves on bad days: writers that are killed, several of them, a disk that is full."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remote_kernel.client.saves.disk.locks import alone
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import NotWritten
from tests.client.test_saves import add, file_of_save, store_in
from tests.core.saves.examples import BUFFER, PACKED, object_of
from tests.unit import IS_WINDOWS


@pytest.fixture
def store(tmp_path: Path) -> SaveStore:
    return store_in(tmp_path / "remote-kernel" / "saves")


def test_objects_of_a_writer_that_was_killed_go(store: SaveStore, tmp_path: Path) -> None:
    save = add(store, PACKED)
    program = f"""
import os, pathlib
from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.disk.locks import alone
from remote_kernel.client.saves.store import SaveStore
from tests.core.saves.examples import BUFFER, OWNER, file_of, object_of
store = SaveStore(SavesFolder(path=pathlib.Path({str(tmp_path / "remote-kernel" / "saves")!r})), OWNER)
with store.keeping_objects():
    store.put_object(object_of(BUFFER), file_of(BUFFER))
    (store.folder / ".0123abcd.json.half").write_text("half of a save")
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert object_of(BUFFER).hash in store.known()
    with store.keeping_objects():
        pass
    assert store.known() == {object_of(PACKED).hash}
    assert sorted(path.name for path in store.folder.iterdir() if path.suffix != ".lock") == sorted(
        [f"{save.id}.json", "guard", "objects"]
    )


WRITER = """
import pathlib, sys
from tests.client.test_saves import add, file_of_save, store_in
store = store_in(pathlib.Path(sys.argv[1]), count=4)
for number in range(6):
    with store.keeping_objects():
        save = add(store, b"common", b"%d" % (number % 3), sys.argv[2].encode() * number, now=float(number))
        assert all(map(store.read_object, (each.hash for each in save.manifest.objects)))
"""


def test_several_kernels_of_a_notebook_write_at_once(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = store_in(tmp_path, count=4)
    saves = [store.read(save) for save in store.list()]
    assert 4 <= len(saves) <= 5
    assert store.known() == {each.hash for save in saves for each in save.manifest.objects}


def test_who_waits_to_be_alone_gives_up_after_a_while(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(OSError, match="another process is at work there"):
        alone(tmp_path, wait_seconds=0.05).__enter__()
    with alone(tmp_path):
        pass


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Let no file of this process become larger: writing fails as on a full disk, behind the first bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_costs_the_new_save_alone(store: SaveStore) -> None:
    save = add(store, PACKED, BUFFER, now=1.0)
    files = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    for size in (0, 100, 520):
        with limited_files(size), pytest.raises(NotWritten, match=f"{os.strerror(errno.EFBIG)}.*stay as they are"):
            add(store, PACKED, os.urandom(500), now=2.0)
        assert {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()} == files
        assert store.read(store.find()) == save
    with limited_files(0):
        store.delete(save)
    assert (store.list(), store.known()) == ([], set())


@pytest.mark.skipif(IS_WINDOWS or sys.platform != "linux", reason="macOS flushes by another call, Windows no folders")
def test_the_disk_has_all_of_a_save_before_it_has_its_file(store: SaveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the calls of the system tells of this, so they are noted on their way to it."""
    fsync, replace = os.fsync, os.replace
    calls: list[tuple[str, object]] = []
    add(store, PACKED, name="first", now=1.0)

    def note_flush(descriptor: int) -> None:
        calls.append(("flush", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def note_replace(source: str, target: Path) -> None:
        calls.append(("replace", target.suffix))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_replace)
    save = add(store, PACKED, BUFFER, name="first", now=2.0)
    (kept,) = store.list()
    assert kept == save
    new = store.object_path(object_of(BUFFER).hash)
    root = store.folder.parent
    assert calls == [
        ("replace", ""),
        ("flush", new.stat().st_ino),
        ("flush", new.parent.stat().st_ino),
        ("flush", file_of_save(store, save).stat().st_ino),
        ("replace", ".json"),
        *(("flush", folder.stat().st_ino) for folder in (store.folder, root, root.parent)),
    ]
    calls.clear()
    add(store, PACKED, BUFFER, now=3.0)
    assert [name for name, _ in calls] == ["flush", "replace", "flush", "flush", "flush"]
