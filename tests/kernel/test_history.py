"""The history of cells, and what front ends ask of it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.io.system.file_locks import hold
from remote_kernel.kernel.before_session import history_file
from remote_kernel.kernel.before_session.history import History, select
from remote_kernel.kernel.before_session.history_file import FOLDER, Entry, HistoryFile
from tests.driver import Content, Notebook, Pool

ENTRIES = [
    Entry(1, 1, "a = 1"),
    Entry(1, 2, "print(a)"),
    Entry(2, 1, "b = 1"),
    Entry(2, 2, "a = 1"),
    Entry(2, 3, "def f():\n    return [1]"),
]
TAIL = {"hist_access_type": "tail", "n": 10, "raw": True, "output": False}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"hist_access_type": "tail", "n": 2}, [3, 4]),
        ({"hist_access_type": "tail", "n": 0}, []),
        ({"hist_access_type": "tail", "n": 99}, [0, 1, 2, 3, 4]),
        ({"hist_access_type": "tail"}, [0, 1, 2, 3, 4]),
        ({"hist_access_type": "tail", "n": "many"}, [0, 1, 2, 3, 4]),
        ({"hist_access_type": "range", "session": 2, "start": 2, "stop": 3}, [3]),
        ({"hist_access_type": "range", "session": 2, "start": 2}, [3, 4]),
        ({"hist_access_type": "range", "session": -1, "start": 1, "stop": None}, [2, 3, 4]),
        ({"hist_access_type": "range", "session": -2, "start": 0, "stop": 2}, [0]),
        ({"hist_access_type": "range", "session": 0}, []),
        ({"hist_access_type": "range", "session": -7}, []),
        ({"hist_access_type": "range", "session": None, "start": "x"}, []),
        ({"hist_access_type": "search", "pattern": "a*"}, [0, 3]),
        ({"hist_access_type": "search", "pattern": "a*", "unique": True}, [3]),
        ({"hist_access_type": "search", "pattern": "*1*", "n": 2}, [3, 4]),
        ({"hist_access_type": "search", "pattern": "[^a] = ?"}, [2]),
        ({"hist_access_type": "search", "pattern": "A*"}, []),
        ({"hist_access_type": "search", "pattern": None, "n": 1}, [4]),
        ({"hist_access_type": "search", "pattern": "*return*"}, [4]),
        ({"hist_access_type": "rumour"}, []),
        ({}, []),
    ],
)
def test_a_request_gets_the_cells_that_it_asks_for(request_: dict[str, Any], expected: list[int]) -> None:
    assert list(select(ENTRIES, request_, current=3)) == [ENTRIES[number] for number in expected]


def execute(code: str, **fields: object) -> dict[str, object]:
    """Return the content of an `execute_request` as of a person."""
    return {"code": code, "silent": False, "store_history": True, "allow_stdin": True, **fields}


def history_of(folder: Path, owner: str = "n") -> list[list[Any]]:
    return History(folder).read(owner, TAIL)


def test_what_a_person_has_run_is_kept_and_nothing_else(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.note(execute("before anybody knew the notebook"))
    history.open("n")
    history.note(execute("x = 'é'\n\ud83d"))
    for fields in ({"silent": True}, {"store_history": False}, {"allow_stdin": False}, {"allow_stdin": None}):
        history.note(execute("hidden", **fields))
    for code in (" \n", "exit", "quit()\n", " exit ( )"):
        history.note(execute(code))
    history.note(execute("#" * (history_file.MAX_CELL_CHARS + 1)))
    history.note({"code": 7, "allow_stdin": True})
    history.note({"code": "by default", "allow_stdin": True})
    history.close()
    kept = [[1, 1, "before anybody knew the notebook"], [1, 2, "x = 'é'\n\ud83d"], [1, 3, "by default"]]
    assert history_of(tmp_path) == kept
    assert history_of(tmp_path, "another notebook") == []


def test_each_kernel_process_is_a_session_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        history = History(tmp_path)
        history.open("n")
        assert history.read("n", {"hist_access_type": "range", "session": 0}) == []
        history.note(execute(f"cell {number}"))
        history.close()
        assert history.read("n", {"hist_access_type": "range", "session": 0}) == [[number, 1, f"cell {number}"]]
    last = {"hist_access_type": "range", "session": -1, "output": True}
    assert History(tmp_path).read("n", last) == [[2, 1, ["cell 2", None]]]


def test_the_history_is_for_its_owner_alone(tmp_path: Path) -> None:
    HistoryFile(tmp_path / "data", "n").append("a")
    (file,) = (tmp_path / "data" / FOLDER).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_kept_nor_shown_where_nobody_wants_it(tmp_path: Path) -> None:
    HistoryFile(tmp_path, "n").append("earlier")
    history = History(None)
    history.open("n")
    history.note(execute("now"))
    history.close()
    assert history.read("n", TAIL) == []
    assert history_of(tmp_path) == [[1, 1, "earlier"]]


def test_a_history_is_bounded_and_loses_its_oldest(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, "n", max_bytes=1000)
    for number in range(200):
        file.append(f"cell {number}")
        (path,) = (tmp_path / FOLDER).glob("*.jsonl")
        assert path.stat().st_size <= 1000
    lines = [entry.line for entry in file.read()]
    assert lines == list(range(lines[0], 201))
    assert len(lines) > 10


def test_only_so_many_notebooks_have_a_history(tmp_path: Path) -> None:
    for number in range(5):
        HistoryFile(tmp_path, f"n{number}", max_files=3).append("a")
        for path in (tmp_path / FOLDER).iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    assert [len(history_of(tmp_path, f"n{number}")) for number in range(5)] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "garbage", [b"[1, 2]\n", b'{"a": 1}\n', b"\xff\xfe\n", b"[" * 5000 + b"\n", b'[1e999, 1, "a"]\n']
)
def test_what_is_none_of_ours_in_the_file_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    HistoryFile(tmp_path, "n").append("a")
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_bytes(garbage + path.read_bytes())
    second = HistoryFile(tmp_path, "n", max_bytes=4000)
    for _ in range(300):
        second.append("b")
    assert second.session == 2
    assert HistoryFile(tmp_path, "n").read()[-1] == Entry(2, 300, "b")


def test_a_folder_that_takes_nothing_costs_the_history_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file")
    history.open("n")
    history.note(execute("a"))
    history.close()
    assert history.read("n", TAIL) == []


def test_a_file_that_somebody_holds_costs_no_cell_its_time(tmp_path: Path) -> None:
    HistoryFile(tmp_path, "n").append("earlier")
    history = History(tmp_path)
    history.open("n")
    with hold((tmp_path / FOLDER).with_suffix(".lock")):
        history.note(execute("now"))  # returns
        assert history_of(tmp_path) == [[1, 1, "earlier"]]
    history.close()
    assert history_of(tmp_path) == [[1, 1, "earlier"], [2, 1, "now"]]


def test_a_disk_that_is_full_leaves_no_half_of_a_cell(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from remote_kernel.kernel.before_session.history_file import HistoryFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "file = HistoryFile(Path(sys.argv[1]), 'n'); [file.append('a' * 40) for _ in range(9)]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    (path,) = (tmp_path / FOLDER).iterdir()
    assert path.stat().st_size % len(json.dumps([1, 1, "a" * 40]) + "\n") == 0
    assert len(history_of(tmp_path)) == 1


def test_kernels_that_write_at_once_lose_nothing_and_have_numbers_of_their_own(tmp_path: Path) -> None:
    def write() -> None:
        file = HistoryFile(tmp_path, "n")
        for number in range(100):
            file.append(f"cell {number}")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = HistoryFile(tmp_path, "n").read()
    assert sorted((entry.session, entry.line) for entry in entries) == [
        (s, n) for s in (1, 2, 3, 4) for n in range(1, 101)
    ]


def test_kernels_that_write_at_once_lose_nothing_while_the_file_is_shortened(tmp_path: Path) -> None:
    files = [HistoryFile(tmp_path, "n", max_bytes=2000) for _ in range(2)]
    threads = [threading.Thread(target=lambda file=file: [file.append("a") for _ in range(500)]) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = HistoryFile(tmp_path, "n").read()
    for session in (1, 2):
        lines = [entry.line for entry in kept if entry.session == session]
        assert lines == list(range(lines[0], 501)) if lines else True


# Real kernels


def ask(notebook: Notebook, **request: object) -> list[Any]:
    reply = notebook.request("shell", "history_request", {**TAIL, **request})
    history: list[Any] = reply["history"]
    return [code for _, _, code in history]


Start = Callable[..., Notebook]


def test_a_notebook_s_next_kernel_shows_what_was_run_there(start_notebook: Start, pool: Pool, tmp_path: Path) -> None:
    environ = {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "n.ipynb")}
    first = start_notebook(**environ)
    assert ask(first) == []
    assert pool.sessions() == []
    for code in ("a = 1", "1 / 0", "%session"):
        first.run(code)
    first.run("hidden = 1", silent=True)
    first.run("unseen = 1", store_history=False)
    first.close()
    second, other = start_notebook(**environ), start_notebook(REMOTE_KERNEL_NOTEBOOK=str(tmp_path / "o.ipynb"))
    before = pool.sessions()
    assert ask(second) == ["a = 1", "1 / 0", "%session"]
    assert ask(second, hist_access_type="search", pattern="*=*") == ["a = 1"]
    assert ask(second, hist_access_type="range", session=-1, start=2, stop=3) == ["1 / 0"]
    assert ask(other) == []
    assert pool.sessions() == before


def test_a_kernel_that_was_killed_has_kept_its_cells(start_notebook: Start, tmp_path: Path) -> None:
    environ = {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "killed.ipynb")}
    first = start_notebook(**environ)

    def kill(message: Content) -> None:
        if message["msg_type"] == "stream":
            first.manager.signal_kernel(9)
            raise KeyboardInterrupt

    first.run("a = 1")
    with pytest.raises(KeyboardInterrupt):
        first.run("print(a, flush=True); import time; time.sleep(60)", on_message=kill)
    assert ask(start_notebook(**environ)) == ["a = 1", "print(a, flush=True); import time; time.sleep(60)"]


def test_the_session_s_own_kernel_answers_once_there_is_one(start_notebook: Start, tmp_path: Path) -> None:
    environ = {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "asked.ipynb")}
    first = start_notebook(**environ)
    first.run("a = 1")
    first.close()
    second = start_notebook(**environ)
    second.run("b = 2", allow_stdin=False)  # as a program runs it, which only the session's own kernel keeps
    assert ask(second, n=1) == ["b = 2"]
    second.run("%session release")
    assert ask(second) == ["a = 1", "%session release"]


@pytest.mark.parametrize("off", ["0", "off"])
def test_history_can_be_switched_off(start_notebook: Start, private_folders: Path, off: str) -> None:
    notebook = start_notebook(REMOTE_KERNEL_HISTORY=off)
    notebook.run("a = 1")
    notebook.run("%session release")
    assert ask(notebook) == []
    assert not (private_folders / "data" / FOLDER).exists()
