"""A workspace's rules, whichever way goes to the pod, and what of them holds when something fails in the middle."""

import ast
import hashlib
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ways import IDENTIFIER, Way
from tests.driver import Cell, Content, Notebook, wait_until
from tests.faults.proxy import FaultProxy, Plan

pytestmark = [pytest.mark.contract, pytest.mark.needs("files")]

# So slow that something can be done in the middle of a megabyte, and none of it takes long.
SLOW = Plan(bytes_per_second=150_000)

SEVERAL = 40
SIZE = 30_000


class Places:
    """Notebooks in one folder, which is their workspace, over a line that can fail.

    They have the way's session, unless they are given another identifier, or none and so one of their project.
    """

    def __init__(self, way: Way, folder: Path, stack: ExitStack) -> None:
        self.way = way
        self.folder = folder
        self._stack = stack
        # Without a pool all have one pod, and an interpreter each if they belong to projects.
        self.identifier = "" if way.name == "agent" else f"{IDENTIFIER}-{way.name}"
        self.proxy = stack.enter_context(FaultProxy.before(way.environ["REMOTE_KERNEL_ENDPOINT"]))

    def start(self, name: str = "n.ipynb", *, identifier: str | None = None) -> Notebook:
        """Start a notebook's kernel."""
        before = Path.cwd()
        os.chdir(self.folder)  # Jupyter starts a kernel in its notebook's folder
        try:
            notebook = Notebook.start(environ={
                **self.way.environ, "REMOTE_KERNEL_ENDPOINT": self.proxy.endpoint, "REMOTE_KERNEL_SCOPE": "project",
                "REMOTE_KERNEL_IDENTIFIER": self.identifier if identifier is None else identifier,
                "REMOTE_KERNEL_NOTEBOOK": str(self.folder / name), "REMOTE_KERNEL_WORKSPACE": ".",
            })  # fmt: skip
        finally:
            os.chdir(before)
        self._stack.callback(notebook.close)
        return notebook

    def write(self, path: str, content: bytes = b"content") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def write_several(self) -> None:
        """Write some files of no small size, and one large one."""
        for number in range(SEVERAL):
            self.write(f"data/{number}.bin", os.urandom(SIZE))
        self.write("big.bin", os.urandom(20 * SIZE))

    def slow_down(self, is_slow: bool = True) -> None:
        """Have the line be slow from now on, or quick again."""
        self.proxy.plan = lambda _number: SLOW if is_slow else Plan()
        self.proxy.cut()


@pytest.fixture
def places(way: Way, tmp_path: Path) -> Iterator[Places]:
    folder = tmp_path / f"a folder {uuid.uuid4().hex[:8]}"
    folder.mkdir()
    if way.name == "agent":
        way.notebook.run("pass")  # which keeps the pod, in whose place there is no pool to give another
    with ExitStack() as stack:
        yield Places(way, folder, stack)


def hashes_here(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


HASHES = """
import hashlib, pathlib
files = [file for file in pathlib.Path().rglob("*") if file.is_file()]
{str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
"""


def hashes_there(notebook: Notebook) -> dict[str, str]:
    """Return what a cell finds, also what is hidden."""
    found: dict[str, str] = ast.literal_eval(notebook.run(HASHES).result)
    return found


def in_mid_sync(act: Callable[[], object]) -> Callable[[Content], None]:
    """Return what does something once a cell has said that some of the workspace is on its way."""
    done: list[Any] = []

    def on_message(message: Content) -> None:
        text = str(message["content"])
        if not done and "sending the workspace" in text and "B of " in text and "0 B of" not in text:
            done.append(act())

    return on_message


def test_what_is_here_is_there_and_what_a_cell_changes_comes_back(places: Places) -> None:
    places.write("deep/er/data.csv", b"1,2")
    places.write("helpers.py", b"ANSWER = 42")
    (places.folder / "empty").mkdir()
    (places.folder / "linked.csv").symlink_to("deep/er/data.csv")
    (places.folder / "out.csv").symlink_to("/etc/hostname")
    (places.folder / "loop").symlink_to("loop")
    (places.folder / "above").symlink_to("..")
    places.write(os.fsdecode(b"odd\xff.csv"))
    notebook = places.start()
    names = "sorted({*os.listdir()} - {'__pycache__'})"
    cell = notebook.run(f"import helpers, os; helpers.ANSWER, {names}, open('linked.csv').read()")
    assert cell.result == "(42, ['deep', 'empty', 'helpers.py', 'linked.csv'], '1,2')"
    assert "'above', 'loop' and 'out.csv'" in cell.displayed
    assert "odd" in cell.displayed
    notebook.run(
        "open('empty/made.csv', 'w').write('made'); open('deep/er/data.csv', 'a').write(',3')\n"
        "os.remove('helpers.py')\n"
        "open(b'odd\\xfe.txt', 'w').close(); os.symlink('/etc/hostname', 'leads_out'); os.symlink('loop', 'loop')\n"
        "open('.hidden', 'w').close(); os.symlink('deep/er/data.csv', 'again.csv')"
    )
    brought = {"empty/made.csv": b"made", "deep/er/data.csv": b"1,2,3", "again.csv": b"1,2,3"}
    wait_until(lambda: all((places.folder / name).exists() for name in brought))
    wait_until(lambda: {name: (places.folder / name).read_bytes() for name in brought} == brought)
    assert not (places.folder / "again.csv").is_symlink()
    assert (places.folder / "helpers.py").exists(), "what is removed there stays here"
    assert not {"leads_out", ".hidden"} & {file.name for file in places.folder.iterdir()}


@pytest.mark.needs("line")
def test_a_line_that_is_cut_up_and_down_costs_nothing(places: Places) -> None:
    places.write_several()
    notebook = places.start()
    notebook.run("pass")
    seen = places.proxy.connections
    places.write_several()
    places.proxy.plan = lambda number: Plan(cut_up_after=400_000 if number < seen + 3 else None)
    places.proxy.cut()
    assert hashes_there(notebook) == hashes_here(places.folder)
    seen = places.proxy.connections
    places.proxy.plan = lambda number: Plan(cut_down_after=100_000 if number < seen + 3 else None)
    places.proxy.cut()
    code = f"import os\nfor n in range({SEVERAL}):\n"
    code += f"    with open(f'data/{{n}}.bin', 'wb') as file: n = file.write(os.urandom({SIZE}))"
    assert notebook.run(code).displayed == ""
    assert hashes_there(notebook) == hashes_here(places.folder)


@pytest.mark.needs("line")
def test_an_interrupt_in_mid_sync_ends_the_cell_and_leaves_whole_files(places: Places) -> None:
    notebook = places.start()
    notebook.run("pass")
    places.write_several()
    places.slow_down()
    interrupt = in_mid_sync(lambda: notebook.send("control", "interrupt_request", {}))
    cell = notebook.run("open('ran', 'w').close()", on_message=interrupt)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
    places.slow_down(False)
    here = hashes_here(places.folder)
    assert hashes_there(notebook) == here
    assert "ran" not in here


@pytest.mark.needs("line")
def test_a_kernel_that_is_killed_in_mid_sync_has_a_successor_that_goes_on(places: Places) -> None:
    notebook = places.start()
    notebook.run("kept = 1")
    places.write_several()
    places.slow_down()
    notebook.client.execute("open('ran', 'w').close()")
    begun = in_mid_sync(lambda: True)
    notebook.wait_iopub(lambda message: begun(message) or "B of" in str(message["content"]))
    os.kill(notebook.pid, signal.SIGKILL)
    places.slow_down(False)
    notebook.manager.restart_kernel(now=True)
    notebook.wait_answers()
    assert notebook.run("kept").result == "1"
    here = hashes_here(places.folder)
    assert hashes_there(notebook) == here
    assert "ran" not in here


@pytest.mark.needs("line")
@pytest.mark.needs("pool")
def test_a_pod_that_is_lost_in_mid_sync_is_told_and_the_next_one_gets_all(places: Places) -> None:
    places.write("first.csv")
    notebook = places.start()
    notebook.run("kept = 1")
    places.write_several()
    places.slow_down()
    cell = notebook.run("open('ran', 'w').close()", on_message=in_mid_sync(places.way.take_pod))
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "SessionLost")
    places.slow_down(False)
    told = notebook.run("'kept' in globals()")
    if told.reply["status"] == "error":  # the files may have missed the pod before the connection did
        assert told.reply["ename"] == "SessionLost"
        told = notebook.run("'kept' in globals()")
    assert told.result == "False"
    there, here = hashes_there(notebook), hashes_here(places.folder)
    assert there == here
    assert "ran" not in here
    assert "first.csv" in here


@pytest.mark.needs("line")
@pytest.mark.needs("restart")
def test_a_restart_in_mid_sync_gives_a_fresh_interpreter_with_all_files(places: Places) -> None:
    notebook = places.start()
    notebook.run("kept = 1")
    places.write_several()
    places.slow_down()
    notebook.client.execute("open('ran', 'w').close()")
    begun = in_mid_sync(lambda: True)
    notebook.wait_iopub(lambda message: begun(message) or "B of" in str(message["content"]))
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    places.slow_down(False)
    assert notebook.run("'kept' in globals()").result == "False"
    here = hashes_here(places.folder)
    assert hashes_there(notebook) == here
    assert "ran" not in here


@pytest.mark.needs("line")
@pytest.mark.needs("pool")
@pytest.mark.parametrize("command", ["release", "reset"])
def test_what_comes_back_is_whole_or_told_where_the_session_is_given_back_in_mid_sync(
    places: Places, command: str
) -> None:
    places.write("first.csv")
    notebook = places.start(identifier=f"{IDENTIFIER}-{places.way.name}-{uuid.uuid4().hex[:8]}")
    notebook.run("pass")
    places.slow_down()
    notebook.client.execute(f"import os\nwith open('made.bin', 'wb') as file: file.write(os.urandom({20 * SIZE}))")
    ended = notebook.run(f"%session {command}")
    assert ended.reply["status"] == "ok"
    places.slow_down(False)
    there, here = hashes_there(notebook), hashes_here(places.folder)
    assert there == {path: digest for path, digest in here.items() if not Path(path).name.startswith(".")}
    if "made.bin" in here:
        assert (places.folder / "made.bin").stat().st_size == 20 * SIZE


def test_two_notebooks_of_a_project_have_one_workspace_and_cross_without_a_word(places: Places) -> None:
    places.write("shared.csv", b"first")
    one, two = places.start("one.ipynb", identifier=""), places.start("two.ipynb", identifier="")
    assert one.run("open('shared.csv').read()").displayed == ""
    assert two.run("open('shared.csv').read()").displayed == "", "it is the same in both"
    for number, notebook in enumerate([one, two, two, one]):
        places.write("shared.csv", b"%d" % number)
        cell = notebook.run("open('shared.csv').read()")
        assert (cell.result, cell.displayed) == (repr(str(number)), ""), "what the other has sent is no change"
    sent = [
        (notebook, notebook.client.execute(f"n = open('{name}-{number}.csv', 'w').write('{name}' * 1000)"))
        for number in range(5)
        for notebook, name in ((one, "one"), (two, "two"))
    ]
    for notebook, request in sent:
        assert notebook.reply_to(request)["status"] == "ok"
    for notebook in (one, two):
        assert notebook.run("pass").displayed == ""
    wait_until(lambda: len(hashes_here(places.folder)) >= 1 + 2 * 5)
    here = hashes_here(places.folder)
    assert len(here) == 1 + 2 * 5, "nothing is kept twice"
    assert hashes_there(one) == hashes_there(two) == here


@pytest.mark.needs("pool")
def test_two_sessions_on_one_workspace_keep_twice_what_both_have_changed(places: Places) -> None:
    places.write("shared.csv", b"1")
    names = [f"{IDENTIFIER}-{places.way.name}-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    one, two = (places.start(f"{name}.ipynb", identifier=name) for name in names)
    for notebook in (one, two):
        notebook.run("pass")
    one.run("n = open('of_one.csv', 'w').write('from one')")
    wait_until(lambda: (places.folder / "of_one.csv").exists())
    assert two.run("open('of_one.csv').read()").result == "'from one'"
    (places.folder / "shared.csv").write_bytes(b"mine")
    later_one = one.run("n = open('shared.csv', 'w').write('one')")
    assert later_one.displayed == "", "it was as it is here before the cell"
    wait_until(lambda: (places.folder / "shared.csv").read_text() == "one")
    shutil.copy(places.folder / "shared.csv", places.folder / "copy.csv")
    assert two.run("open('shared.csv').read(), open('copy.csv').read()").result == "('one', 'one')"


def test_what_is_changed_on_both_sides_is_kept_twice_and_told(places: Places) -> None:
    places.write("data.csv", b"old")
    notebook = places.start()
    go, done = places.folder.parent / "go", places.folder.parent / "done"
    notebook.run(f"""
import os, threading, time
def write():
    while not os.path.exists({str(go)!r}):
        time.sleep(0.01)
    with open("data.csv", "w") as file:
        file.write("changed there")
    open({str(done)!r}, "w").close()
threading.Thread(target=write).start()
""")
    go.touch()
    wait_until(done.exists)
    places.write("data.csv", b"changed here")
    cell: Cell = notebook.run("open('data.csv').read()")
    assert cell.result == "'changed here'"
    assert "data (from the session).csv" in cell.displayed
    assert (places.folder / "data (from the session).csv").read_text() == "changed there"


def test_a_folder_that_vanishes_removes_nothing_and_says_so(places: Places) -> None:
    places.write("data.csv", b"old")
    notebook = places.start()
    notebook.run("pass")
    places.folder.rename(places.folder.parent / "elsewhere")
    cell = notebook.run("pass")
    assert cell.reply["ename"] == "TransferError"
    assert "cannot be read" in cell.reply["evalue"]
    (places.folder.parent / "elsewhere").rename(places.folder)
    assert notebook.run("open('data.csv').read()").result == "'old'"
