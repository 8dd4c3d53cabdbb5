"""`remote-kernel saves` shows what is on this machine, says what is not used, and deletes what is named."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.save import Save
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.identity_key import load_key
from tests.cli.command import COMMAND, Done, run_command
from tests.cli.test_hostile_text import FORBIDDEN, HOSTILE, controls
from tests.cli.test_terminal import show_on_terminal
from tests.core.saves.examples import BUFFER, PACKED, file_of, manifest_of, object_of

NOON = 1_800_000_000.0


def store_of(notebook: str, *, key: bytes | None = None) -> SaveStore:
    data = Folders.of_user().data
    owner = Owner.of(key or load_key({}, data), user="ada", notebook=notebook, pod_kernel="python3")
    return SaveStore(SavesFolder(path=data / "remote-kernel" / "saves"), owner)


def add(
    store: SaveStore, *contents: bytes, notebook: str, name: str = "", now: float = NOON, **manifest: object
) -> Save:
    with store.keeping_objects():
        for content in contents:
            store.put_object(object_of(content), file_of(content))
        return store.add(
            manifest_of(*contents, **manifest), name=name, now=now, notebook=notebook, pod_kernel="python3"
        )


def listed(*arguments: object) -> list[dict[str, Any]]:
    done = run_command("saves", *arguments, "--json")
    assert (done.status, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.fixture
def notebooks(private_folders: Path, tmp_path: Path) -> list[str]:
    """The paths of two notebooks; the first has two saves, the other has one."""
    paths = [str(tmp_path / name) for name in ("déjà vu.ipynb", "other.ipynb")]
    first, other = map(store_of, paths)
    add(first, PACKED, notebook=paths[0], name="before training", now=NOON)
    add(first, PACKED, BUFFER, notebook=paths[0], now=NOON + 1, lost=(), lost_count=0)
    add(other, PACKED, b"of the other", notebook=paths[1], name="before training", now=NOON + 2)
    return paths


def test_without_saves_says_so_and_makes_nothing(private_folders: Path, tmp_path: Path) -> None:
    done = run_command("saves")
    folder = Folders.of_user().data / "remote-kernel" / "saves"
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == f"There is no save in {folder}. '%session save' in a notebook makes one.\n"
    assert listed() == []
    assert not Folders.of_user().data.exists() or not list(Folders.of_user().data.iterdir())


def test_saves_are_listed_by_notebook_the_newest_first(notebooks: list[str]) -> None:
    rows = listed()
    assert [(row["notebook"], row["name"]) for row in rows] == [
        (notebooks[0], ""), (notebooks[0], "before training"), (notebooks[1], "before training")
    ]  # fmt: skip
    assert rows[1] | {"id": ""} == {
        "id": "", "name": "before training", "saved_at": "2027-01-15T08:00:00+00:00", "notebook": notebooks[0],
        "pod_kernel": "python3", "python": "3.11.2", "saved": 14, "lost": ["lines"], "lost_count": 1, "bytes": 250,
        "problem": "",
    }  # fmt: skip


def test_a_table_shows_them_with_the_folder_and_its_size(notebooks: list[str]) -> None:
    done = run_command("saves")
    head, newest, older, other, empty, total = done.stdout.splitlines()
    assert head.split() == ["SAVE", "NAME", "SAVED", "VARIABLES", "SIZE", "PYTHON", "NOTEBOOK"]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(NOON))
    assert re.fullmatch(
        rf"[0-9a-f]{{8}}  before training  {when}  14 of 15   250 B  3.11.2  {re.escape(notebooks[0])}", older
    )
    assert "  -                " in newest
    assert "  14         506 B  3.11.2" in newest
    assert other.endswith(notebooks[1])
    assert empty == ""
    folder = Folders.of_user().data / "remote-kernel" / "saves"
    assert re.fullmatch(rf"3 saves in {re.escape(str(folder))}, \d+ B on disk: they are compressed, .*", total)
    assert (done.status, done.stderr) == (0, "")


def test_those_of_one_notebook_alone(notebooks: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert [row["notebook"] for row in listed("other.ipynb")] == [notebooks[1]]
    assert "There is no save of none.ipynb in " in run_command("saves", "none.ipynb").stdout
    assert run_command("saves", "").status == 2


def test_a_save_is_deleted_by_its_name_or_its_id_with_what_it_alone_needs(notebooks: list[str]) -> None:
    newest, older, _ = listed()
    done = run_command("saves", notebooks[0], "--delete", "before training")
    assert done == Done(
        0, f"Deleted the save 'before training' of {notebooks[0]}: other saves have all that it had.\n", ""
    )
    assert [row["id"] for row in listed(notebooks[0])] == [newest["id"]]
    done = run_command("saves", "--delete", newest["id"], "--json")
    assert json.loads(done.stdout) == {
        "id": newest["id"], "name": "", "notebook": notebooks[0],
        "freed_bytes": len(file_of(PACKED)) + len(file_of(BUFFER)),
    }  # fmt: skip
    assert listed(notebooks[0]) == []
    assert len(listed()) == 1
    assert older["id"] not in run_command("saves").stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none", "there is no save 'none': see 'remote-kernel saves'"),
        ("before training", r"there are 2 saves 'before training': name the notebook as well, or one of \w{8}, \w{8}"),
        ("", "'' cannot be the name of a save: .*"),
        ("../../identity.key", "there is no save '../../identity.key': .*"),
        ("\x1b]0;x", r"'\\x1b]0;x' cannot be the name of a save: .*"),
    ],
)
def test_what_is_not_one_save_is_not_deleted(notebooks: list[str], name: str, sentence: str) -> None:
    done = run_command("saves", f"--delete={name}")
    assert (done.status, done.stdout) == (2, "")
    assert re.fullmatch(f"remote-kernel: {sentence}\n", done.stderr)
    assert len(listed()) == 3


def test_a_changed_save_is_shown_with_the_reason_and_can_be_deleted(notebooks: list[str]) -> None:
    store = store_of(notebooks[0])
    changed = store.find()
    path = store.folder / f"{changed.id}.json"
    path.write_bytes(path.read_bytes().replace(b"3.11.2", b"3.11.3"))
    done = run_command("saves")
    sentence = f"The save {path} is not used: it was changed, or is of another user, notebook or kernel."
    assert (done.status, done.stderr) == (0, f"remote-kernel: {sentence}\n")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(changed.id))
    assert "not used" in line
    assert line.endswith(notebooks[0]), "the notebook of the others"
    assert [row["problem"] for row in listed() if row["id"] == changed.id] == [sentence]
    assert run_command("saves", "--delete", changed.id).status == 0
    assert run_command("saves").stderr == ""


def test_folders_of_others_are_counted_and_nothing_in_them_is_shown(notebooks: list[str]) -> None:
    add(store_of("/home/eve/secret.ipynb", key=bytes(32)), PACKED, notebook="/home/eve/secret.ipynb")
    done = run_command("saves")
    assert "secret" not in done.stdout
    assert done.stdout.endswith("\n1 folder there of other users, or of another identity key.\n")
    assert len(listed()) == 3


def test_a_folder_that_is_not_there_is_a_sentence(
    private_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_SAVES", str(tmp_path / "drive"))
    for arguments in ((), ("--json",), ("--delete", "x")):
        done = run_command("saves", *arguments)
        assert (done.status, done.stdout) == (2, "")
        assert done.stderr == (
            f"remote-kernel: The folder {tmp_path / 'drive'} for saves (REMOTE_KERNEL_SAVES) is not there: make it, or "
            "connect its drive.\n"
        )


def hostile_save(private_folders: Path) -> Save:
    notebook = f"/tmp/{HOSTILE}.ipynb"
    return add(store_of(notebook), PACKED, notebook=notebook, name="naïve", lost=(HOSTILE,), lost_count=1)


def test_names_command_no_terminal(private_folders: Path) -> None:
    hostile_save(private_folders)
    status, text = show_on_terminal("saves")
    assert status == 0
    assert "naïve" in text
    assert "\\x1b]0;title" in text
    assert not [sequence for sequence in FORBIDDEN if sequence in text]
    assert controls(run_command("saves").stdout) == set()
    assert controls(run_command("saves", "--json").stdout) == set()


def test_what_is_not_used_is_red_where_colours_are_wanted(notebooks: list[str]) -> None:
    store = store_of(notebooks[0])
    (store.folder / f"{store.find().id}.json").write_bytes(b"{}")
    _, text = show_on_terminal("saves", COLUMNS="300")
    assert re.search(r"\x1b\[31m\w{8}  .*not used.*\x1b\[0m", text)
    _, plain = show_on_terminal("saves", NO_COLOR="1")
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[\d+m", "", text) == plain


def test_the_list_goes_through_a_pipe_that_is_closed(notebooks: list[str]) -> None:
    shell = f"{' '.join(COMMAND)} saves | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SAVE ")
    assert (done.stderr, "\x1b" in done.stdout) == ("", False)
