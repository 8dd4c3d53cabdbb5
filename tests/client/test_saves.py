"""Store of saves: what is kept, what goes, and what is refused."""

import os
import pickle
import stat
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import NotWritten, SaveError, SettingsError, UsageError, WireError
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.retention import Retention
from remote_kernel.core.saves.save import Save
from remote_kernel.core.settings import Settings
from remote_kernel.namespace.files.packs import Group, Variable, encode_pack
from tests.core.saves.examples import BUFFER, KEY, MANIFEST, OWNER, PACKED, file_of, manifest_of, object_of
from tests.unit import IS_WINDOWS

NOTEBOOK = "/home/ada/report.ipynb"


def store_in(folder: Path, owner: Owner = OWNER, **bounds: int) -> SaveStore:
    return SaveStore(SavesFolder(path=folder, retention=Retention(**bounds)), owner)


def add(store: SaveStore, *contents: bytes, name: str = "", now: float = 0.0) -> Save:
    """Add a save with these contents, as a transfer does."""
    with store.keeping_objects():
        for content in contents:
            if object_of(content).hash not in store.known():
                store.put_object(object_of(content), file_of(content))
        return store.add(
            manifest_of(*contents),
            name=name,
            now=now,
            notebook=NOTEBOOK,
            pod_kernel="python3",
            files={"a.csv": "f" * 64},
        )


@pytest.fixture
def store(tmp_path: Path) -> SaveStore:
    return store_in(tmp_path / "remote-kernel" / "saves")


def file_of_save(store: SaveStore, save: Save) -> Path:
    return store.folder / f"{save.id}.json"


def test_a_save_is_found_and_read_as_it_was_added(store: SaveStore) -> None:
    save = add(store, PACKED, BUFFER, name="before", now=1.5)
    assert store.list() == [save]
    assert store.find() == store.find("before") == store.find(save.id) == store.read(save) == save
    assert save.manifest == MANIFEST
    assert [store.read_object(each.hash) for each in save.manifest.objects] == [file_of(PACKED), file_of(BUFFER)]


def test_nothing_is_there_before_the_first_save_and_nothing_is_made_by_looking(
    store: SaveStore, tmp_path: Path
) -> None:
    assert store.list() == []
    assert store.known() == set()
    with pytest.raises(SaveError, match="no save of this notebook"):
        store.find()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(IS_WINDOWS, reason="files have no mode there")
def test_only_their_owner_may_read_saves(store: SaveStore, tmp_path: Path) -> None:
    add(store, PACKED, BUFFER)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}


def test_names_of_notebook_and_save_stand_in_no_path(store: SaveStore, tmp_path: Path) -> None:
    add(store, PACKED, name="../../../evil é'\"; rm -rf")
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert not [path for path in paths if "evil" in path or "report" in path or ".." in path]
    assert store.find("../../../evil é'\"; rm -rf")


def test_the_newest_is_the_newest_that_can_be_used(store: SaveStore) -> None:
    usable = add(store, b"1", now=1.0)
    (store.folder / "deadbeef.json").write_bytes(b"{}")
    assert store.list()[0].id == "deadbeef"
    assert store.find() == usable
    store.delete(usable)
    with pytest.raises(SaveError, match=r"deadbeef\.json is not used"):
        store.find()


def test_the_newest_is_found_first_and_by_a_name_as_well(store: SaveStore) -> None:
    add(store, b"1", name="a", now=1.0)
    add(store, b"2", now=3.0)
    add(store, b"3", name="b", now=2.0)
    assert [save.saved_at for save in store.list()] == [3.0, 2.0, 1.0]
    assert store.find().saved_at == 3.0
    with pytest.raises(SaveError, match=r"no save 'c' of this notebook: .*'b', 'a'"):
        store.find("c")


@pytest.mark.parametrize("name", ["a\nb", "-x", "x" * 65])
def test_a_save_that_cannot_have_its_name_is_not_made(store: SaveStore, name: str) -> None:
    with pytest.raises(UsageError):
        add(store, PACKED, name=name)
    assert store.list() == []
    assert store.known() == set(), "what no save needs is gone"


def test_a_save_lacks_no_object(store: SaveStore) -> None:
    with pytest.raises(WireError, match="not sent"):
        store.add(MANIFEST, now=0.0, notebook=NOTEBOOK, pod_kernel="python3")
    assert store.list() == []


@pytest.mark.parametrize("file", [b"", b"\0other", b"\1other", b"\0" + bytes(5 << 20)])
def test_an_object_that_is_not_what_its_name_says_is_not_kept(store: SaveStore, file: bytes) -> None:
    with pytest.raises(WireError):
        store.put_object(object_of(PACKED), file)
    assert store.known() == set()


def test_nobody_chooses_a_path_by_the_name_of_an_object(store: SaveStore) -> None:
    with pytest.raises(WireError):
        store.object_path("../../identity.key")


@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_a_save_with_any_byte_changed_is_refused(store: SaveStore, place: int, change: int) -> None:
    save = store.list()[0] if store.list() else add(store, PACKED, BUFFER)
    path = file_of_save(store, save)
    content = path.read_bytes()
    changed = bytearray(content)
    changed[place % len(changed)] ^= change
    try:
        path.write_bytes(changed)
        (listed,) = store.list()
        assert str(path) in listed.problem
        assert listed.manifest == Manifest()
        uses: list[Callable[[], Save]] = [store.find, lambda: store.find(save.id), lambda: store.read(save)]
        for use in uses:
            with pytest.raises(SaveError, match="changed, or is of another user, notebook or kernel"):
                use()
    finally:
        path.write_bytes(content)


@given(place=st.integers(0, 10_000), change=st.integers(1, 255), content=st.sampled_from([PACKED, BUFFER]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_an_object_with_any_byte_changed_is_refused_or_has_the_same_content(
    store: SaveStore, place: int, change: int, content: bytes
) -> None:
    store.put_object(object_of(content), file_of(content))
    path = store.object_path(object_of(content).hash)
    changed = bytearray(path.read_bytes())
    changed[place % len(changed)] ^= change
    path.write_bytes(changed)
    try:
        file = store.read_object(path.name)
    except SaveError:
        assert path.name not in store.known(), "the next save writes it again"
    else:
        assert zlib.decompress(file[1:]) == content


def test_a_damaged_object_is_written_again_by_the_next_save(store: SaveStore) -> None:
    add(store, PACKED, BUFFER, now=1.0)
    path = store.object_path(object_of(BUFFER).hash)
    path.write_bytes(b"")
    with pytest.raises(SaveError, match="damaged"):
        store.read_object(path.name)
    assert store.read(store.find()).saved_at == 1.0, "the rest of it can be used"
    with store.keeping_objects():
        pass
    assert path.with_suffix(".damaged").exists(), "of interest for as long as a save needs it"
    save = add(store, PACKED, BUFFER, now=2.0)
    assert store.read(save) == save
    assert store.read_object(path.name) == file_of(BUFFER)
    assert not path.with_suffix(".damaged").exists()


def test_what_was_checked_is_read_again_only_if_it_has_changed(store: SaveStore) -> None:
    save = add(store, PACKED, BUFFER, b"third", now=1.0)
    paths = [store.object_path(each.hash) for each in save.manifest.objects]
    assert store.damaged([path.name for path in paths]) == []
    paths[0].write_bytes(b"\0other")
    paths[1].unlink()
    assert store.damaged([path.name for path in paths]) == [paths[0].name, paths[1].name]
    assert store.known() == {paths[2].name}
    again = store_in(store.folder.parent)
    paths[2].write_bytes(b"")
    assert again.damaged([paths[2].name]) == [paths[2].name]


def test_a_damaged_pack_costs_what_it_tells_and_nothing_else(store: SaveStore) -> None:
    first, second = (
        encode_pack([Group([Variable(name, "int", 5, 3)], "dill", b"pickle")], []) for name in ("first", "second")
    )
    with store.keeping_objects():
        for content in (first, second):
            store.put_object(object_of(content), file_of(content))
        packs = ((object_of(first),), (object_of(second),))
        manifest = manifest_of(first, second, packs=packs)
        save = store.add(manifest, now=0.0, notebook=NOTEBOOK, pod_kernel="python3")
    assert [each.name for each in store.read_contents(save).restored] == ["first", "second"]
    store.object_path(object_of(first).hash).write_bytes(b"\0other")
    told = store.read_contents(save)
    assert [each.name for each in told.restored] == ["second"]
    assert [object_of(first).hash in warning for warning in told.warnings] == [True]


def test_a_save_of_another_owner_is_refused(store: SaveStore, tmp_path: Path) -> None:
    other = store_in(
        tmp_path / "remote-kernel" / "saves", Owner.of(KEY, user="eve", notebook=NOTEBOOK, pod_kernel="python3")
    )
    save = add(other, PACKED)
    assert store.list() == []
    add(store, PACKED)
    file_of_save(other, save).rename(file_of_save(store, save))
    with pytest.raises(SaveError, match="another user"):
        store.find(save.id)


def test_a_save_under_the_id_of_another_one_is_refused(store: SaveStore) -> None:
    older, newer = add(store, PACKED, now=1.0), add(store, BUFFER, now=2.0)
    file_of_save(store, older).replace(file_of_save(store, newer))
    with pytest.raises(SaveError, match="had another name"):
        store.read(newer)


def test_a_save_of_a_later_version_is_not_used_and_loses_no_object(store: SaveStore) -> None:
    save = add(store, PACKED, BUFFER, now=1.0)
    later = OWNER.seal(save.to_bytes().replace(b'"format":1', b'"format":2'))
    file_of_save(store, save).write_bytes(later)
    add(store, b"other", now=2.0)
    assert {object_of(PACKED).hash, object_of(BUFFER).hash} < store.known()
    with pytest.raises(SaveError, match="another version of remote-kernel"):
        store.find(save.id)


def test_what_is_no_save_is_left_alone(store: SaveStore) -> None:
    save = add(store, PACKED, now=1.0)
    for name in ("notes.json", "0123abcd.txt", "0123ABCD.json"):
        (store.folder / name).write_text("mine")
    (store.folder / "89abcdef.json").mkdir()
    assert [each.problem for each in store.list() if each.id == save.id] == [""]
    assert [each.id for each in store.list()] == [save.id, "89abcdef"]


def test_a_save_that_could_not_be_read_again_is_not_made(store: SaveStore) -> None:
    with store.keeping_objects():
        store.put_object(object_of(PACKED), file_of(PACKED))
        with pytest.raises(WireError):
            store.add(manifest_of(PACKED), now=0.0, notebook=NOTEBOOK, pod_kernel="x" * 200)
    assert (store.list(), store.known()) == ([], set())


@pytest.mark.skipif(IS_WINDOWS, reason="not everybody may make a link there")
def test_a_link_in_the_place_of_a_lock_makes_no_file_elsewhere(store: SaveStore, tmp_path: Path) -> None:
    add(store, PACKED, now=1.0)
    (store.folder / "guard").unlink()
    (store.folder / "guard").symlink_to(tmp_path / "elsewhere")
    add(store, BUFFER, now=2.0)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(IS_WINDOWS, reason="folders have no mode there")
def test_a_folder_that_somebody_has_opened_is_closed_again(store: SaveStore) -> None:
    add(store, PACKED, now=1.0)
    for folder in (store.folder, store.folder / "objects"):
        folder.chmod(0o777)
    add(store, BUFFER, now=2.0)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (store.folder, store.folder / "objects")} == {0o700}


@pytest.mark.skipif(IS_WINDOWS, reason="not everybody may make a link there")
@pytest.mark.parametrize("name", ["objects", ""])
def test_a_link_in_the_place_of_a_folder_costs_nothing_that_it_leads_to(
    store: SaveStore, tmp_path: Path, name: str
) -> None:
    save = add(store, PACKED, now=1.0)
    others = tmp_path / "others"
    others.mkdir()
    for each in ("thesis.txt", ".bashrc", "0123abcd.json", "f" * 64):
        (others / each).write_text("mine")
    folder = store.folder / name
    folder.rename(tmp_path / "moved")
    folder.symlink_to(others)
    with pytest.raises(NotWritten, match=r"is a link to another folder"):
        add(store, BUFFER, now=2.0)
    (others / f"{save.id}.json").write_text("mine")
    with pytest.raises(NotWritten, match="remove the link"):
        store.delete(save)
    (others / f"{save.id}.json").unlink()
    assert sorted(path.name for path in others.iterdir()) == [".bashrc", "0123abcd.json", "f" * 64, "thesis.txt"]


def test_what_nobody_has_named_as_ours_stays_in_the_folder_of_objects(store: SaveStore) -> None:
    add(store, PACKED, now=1.0)
    objects = store.object_path("f" * 64).parent
    for name in ("thesis.txt", ".bashrc", "f" * 64, f".{'f' * 64}.half", f"{'f' * 64}.damaged"):
        (objects / name).write_text("x")
    (objects / ("e" * 64)).mkdir()
    (objects / ("d" * 64)).write_text("x")
    add(store, BUFFER, now=2.0)
    kept = {"thesis.txt", ".bashrc", "e" * 64, object_of(PACKED).hash, object_of(BUFFER).hash}
    assert {path.name for path in objects.iterdir()} == kept
    assert store.known() == {object_of(PACKED).hash, object_of(BUFFER).hash}


@pytest.mark.skipif(IS_WINDOWS, reason="there are no such files there")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(store: SaveStore) -> None:
    save = add(store, PACKED, BUFFER, now=1.0)
    os.mkfifo(store.folder / "deadbeef.json")
    path = store.object_path(object_of(BUFFER).hash)
    path.unlink()
    os.mkfifo(path)
    assert [each.problem for each in store.list() if each.id == "deadbeef"] == [
        f"The save {store.folder / 'deadbeef.json'} cannot be read (it is no ordinary file)."
    ]
    assert store.find() == save
    assert path.name not in store.known()
    with pytest.raises(SaveError, match=r"cannot be read \(it is no ordinary file\)"):
        store.read_object(path.name)
    assert add(store, PACKED, BUFFER, b"more", now=2.0) == store.find()
    assert store.read_object(path.name) == file_of(BUFFER), "it took the pipe's place"


def test_a_folder_in_the_place_of_a_save_costs_no_other(tmp_path: Path) -> None:
    store = store_in(tmp_path, count=1)
    add(store, b"1", now=1.0)
    (store.folder / "89abcdef.json").mkdir()
    newer = add(store, b"2", now=2.0)
    assert [save.id for save in store.list()] == [newer.id, "89abcdef"]
    assert store.known() == {object_of(b"2").hash}


def test_a_pack_whose_header_has_no_end_is_not_read(store: SaveStore) -> None:
    first, zeros = b"\xff\xff\xff\xff" + bytes(4092), bytes(4096)
    with store.keeping_objects():
        for content in (first, zeros):
            store.put_object(object_of(content), file_of(content))
        manifest = manifest_of(first, zeros, packs=((object_of(first), *[object_of(zeros)] * 1000),))
        save = store.add(manifest, now=0.0, notebook=NOTEBOOK, pod_kernel="python3")
    store.object_path(object_of(zeros).hash).unlink()
    (warning,) = store.read_contents(save).warnings
    assert "the header of a pack of a save is too long" in warning


def test_headers_of_all_packs_have_a_bound(store: SaveStore) -> None:
    size, spaces = 16 << 20, b" " * (4 << 20)
    firsts = [
        size.to_bytes(4, "big") + b" " * number + b'{"groups":[],"lost":[]}' + b" " * ((4 << 20) - 27 - number)
        for number in range(5)
    ]
    with store.keeping_objects():
        for content in (*firsts, spaces):
            store.put_object(object_of(content), file_of(content))
        packs = tuple((object_of(first), *[object_of(spaces)] * 4) for first in firsts)
        manifest = manifest_of(*firsts, spaces, packs=packs)
        save = store.add(manifest, now=0.0, notebook=NOTEBOOK, pod_kernel="python3")
    (warning,) = store.read_contents(save).warnings
    assert "its headers are too long" in warning
    assert store.read_contents(replace(save, manifest=replace(manifest, packs=packs[:4]))).warnings == []


def test_old_saves_go_with_what_only_they_need(store: SaveStore, tmp_path: Path) -> None:
    few = store_in(tmp_path / "remote-kernel" / "saves", count=2)
    for number in range(4):
        add(few, b"common", b"%d" % number, now=float(number))
    assert [save.saved_at for save in store.list()] == [3.0, 2.0]
    assert store.known() == {object_of(content).hash for content in (b"common", b"2", b"3")}


def test_a_clock_that_goes_back_costs_no_save(tmp_path: Path) -> None:
    store = store_in(tmp_path, count=1)
    add(store, b"1", now=100.0)
    late = add(store, b"2", now=1.0)
    assert late in store.list()
    assert store.read(late) == late


def test_more_bytes_than_are_kept_cost_the_oldest_never_the_newest(tmp_path: Path) -> None:
    store = store_in(tmp_path, max_bytes=1000)
    add(store, os.urandom(600), now=1.0)
    assert len(store.list()) == 1
    large = add(store, os.urandom(5000), now=2.0)
    assert store.list() == [large]
    assert store.read(large)


def test_deleting_a_save_leaves_what_others_need(store: SaveStore) -> None:
    older, newer = add(store, PACKED, b"1", now=1.0), add(store, PACKED, b"2", now=2.0)
    store.delete(newer)
    assert store.list() == [older]
    assert store.known() == {object_of(PACKED).hash, object_of(b"1").hash}
    with pytest.raises(SaveError, match="has been removed"):
        store.read(newer)
    store.delete(newer)


def test_a_damaged_save_can_be_deleted(store: SaveStore) -> None:
    save = add(store, PACKED)
    file_of_save(store, save).write_bytes(b"damaged")
    store.delete(store.list()[0])
    assert store.list() == []
    assert store.known() == set()


def test_objects_in_use_stay_whoever_removes_saves(store: SaveStore, tmp_path: Path) -> None:
    other = store_in(tmp_path / "remote-kernel" / "saves", count=1)
    older = add(store, PACKED, now=1.0)
    with store.keeping_objects():
        known = store.known()
        add(other, BUFFER, now=2.0)
        assert older not in store.list()
        assert known <= store.known()
        save = store.add(older.manifest, now=3.0, notebook=NOTEBOOK, pod_kernel="python3")
    assert store.read(save)
    assert store.known() == known | {object_of(BUFFER).hash}


def test_a_folder_that_the_user_names_has_to_be_there(tmp_path: Path) -> None:
    folder = SavesFolder.of(Settings(saves=str(tmp_path / "drive")), tmp_path)
    store = SaveStore(folder, OWNER)
    for use in (store.list, store.find, lambda: add(store, PACKED), lambda: folder.owners(KEY)):
        with pytest.raises(SaveError, match=r"drive for saves \(REMOTE_KERNEL_SAVES\) is not there"):
            use()
    assert not folder.path.exists()
    folder.path.mkdir()
    assert store.list() == []
    save = add(store, PACKED)
    assert store.list() == [save]


@pytest.mark.skipif(sys.platform != "linux", reason="it has no folder that not even root may write")
def test_a_folder_that_cannot_be_written_is_a_sentence() -> None:
    with pytest.raises(NotWritten, match="REMOTE_KERNEL_SAVES to another folder"):
        add(SaveStore(SavesFolder(path=Path("/sys/kernel"), is_given=True), OWNER), PACKED)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "saves").write_text("a file")
    store = store_in(tmp_path / "saves")
    with pytest.raises(NotWritten, match="cannot be written"):
        add(store, PACKED)
    with pytest.raises(SaveError, match="cannot be read"):
        store.list()


def test_the_folder_is_beside_the_identity_key_or_where_the_user_says(tmp_path: Path) -> None:
    assert SavesFolder.of(Settings(), tmp_path).path == tmp_path / "remote-kernel" / "saves"
    assert SavesFolder.of(Settings(saves="~/saves"), tmp_path).path == Path.home() / "saves"
    with pytest.raises(SettingsError, match="absolute"):
        SavesFolder.of(Settings(saves="saves"), tmp_path)


def test_owners_are_listed_with_those_that_have_another_key(tmp_path: Path) -> None:
    folder = SavesFolder(path=tmp_path)
    assert SavesFolder(path=tmp_path / "none").owners(KEY) == []
    add(SaveStore(folder, OWNER), PACKED)
    add(SaveStore(folder, Owner.of(bytes(32), user="eve", notebook=NOTEBOOK, pod_kernel="python3")), PACKED)
    assert sorted(folder.owners(KEY), key=str) == [None, OWNER]


class Bomb:
    """What runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self._path,))


def test_nothing_in_a_save_is_unpickled_on_this_machine(store: SaveStore, tmp_path: Path) -> None:
    content = pickle.dumps(Bomb(tmp_path / "boom"))
    pickle.loads(content)
    assert (tmp_path / "boom").exists()
    (tmp_path / "boom").unlink()
    save = add(store, content, now=1.0)
    assert store.list() == [store.find(save.id)] == [store.read(save)]
    assert store.read_object(object_of(content).hash)
    add(store, content, b"more", now=2.0)
    store.delete(save)
    assert not (tmp_path / "boom").exists()


def test_a_save_keeps_the_files_that_it_has_seen(store: SaveStore) -> None:
    save = add(store, PACKED)
    assert store.find().files == {"a.csv": "f" * 64}
    assert replace(save, files=None).files is None
