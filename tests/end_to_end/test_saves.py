"""State that outlives the pod, as a notebook's user sees it: save, loss, restore, questions, autosave."""

import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from remote_kernel.io.system.file_locks import hold
from remote_kernel.kernel.folders import Folders
from tests.driver import Cell, Content, Notebook, Pool, wait_until
from tests.namespace.test_typical_notebook import CELLS, CHECKS, DRAWN, HAS_SKLEARN, MODEL, MODEL_CHECK

pytestmark = pytest.mark.slow

Start = Callable[..., Notebook]

STATE = """
import random
shared = [1, 2, 3]
data = {"a": shared, "b": shared}
class Point:
    def __init__(self, x): self.x = x
points = [Point(1), Point(2)]
def scaled(point): return point.x * factor
factor = 10
rows = (number for number in range(3))
random.seed(1); random.random()
"""


def error_of(cell: Cell) -> str:
    (error,) = cell.of_type("error")
    return str(error["evalue"])


def saved(notebook: Notebook, line: str = "%session save") -> str:
    cell = notebook.run(line)
    assert cell.reply["status"] == "ok", cell.of_type("error")
    return cell.displayed


def lose(notebook: Notebook, pool: Pool, identifier: str) -> str:
    """End the pod; return what the next cell says of it."""
    pool.stop_session(identifier)
    return error_of(notebook.run("data"))


def test_variables_outlive_the_pod(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-outlive")
    notebook.run(STATE)
    said = saved(notebook)
    assert re.match(
        r"Saved 7 of 8 variables: [\d.]+ k?B, in [\d.]+ m?s\. '%session restore' brings them back\. Not saved: "
        r"rows is a generator\.$", said,
    ), said  # fmt: skip
    drawn = notebook.run("random.random()").result
    loss = lose(notebook, pool, "saves-outlive")
    assert re.search(
        r"Run the notebook again from the top; .* Or '%session restore' brings back the save of \d\d:\d\d: "
        r"7 of 8 variables\.$", loss,
    ), loss  # fmt: skip
    report = notebook.run("%session restore").displayed
    assert report.startswith("Variables restored: 7 of 8 variables, from the save of ")
    assert re.search(r"Not restored: rows  is a generator \(cell 1\)\n", report), report
    assert "Make them by: %rerun 1\n" in report
    assert (
        notebook.run("data['a'] is data['b'] is shared, [scaled(point) for point in points]").result
        == "(True, [10, 20])"
    )
    assert notebook.run("factor = 2; scaled(Point(4)), isinstance(points[0], Point)").result == "(8, True)"
    assert notebook.run("random.random()").result == drawn


@pytest.mark.timeout(400)  # for a machine that does much else
def test_thirty_cells_of_work_with_data_outlive_their_pod(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-thirty")

    def run(cells: Sequence[str]) -> None:
        for code in cells:
            assert notebook.run(code).reply["status"] == "ok", code

    run(CELLS)
    run([MODEL] if HAS_SKLEARN else [])
    said = saved(notebook)
    assert "Not saved: db is a database connection; log is an open file; squares is a generator; watcher is a " in said
    drawn = notebook.run(DRAWN).result
    assert "brings back the save of " in lose(notebook, pool, "saves-thirty")
    report = notebook.run("%session restore").displayed
    for name, why in [("db", "a database connection"), ("log", "an open file"), ("squares", "a generator"),
                      ("watcher", "a thread")]:  # fmt: skip
        assert re.search(rf"^Not restored: {name} +is {why} \(cell 2[2-5]\)$", report, re.MULTILINE), report
    assert "Make them by: %rerun 22 23 24 25\n" in report
    assert report.count("Not restored: ") == 4
    run(CHECKS)
    assert notebook.run(DRAWN).result == drawn
    run([MODEL_CHECK] if HAS_SKLEARN else [])


def test_saves_have_names_are_listed_completed_and_removed(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-names")
    assert "There is no save of this notebook" in notebook.run("%session saves").displayed
    assert "There is nothing to save" in saved(notebook)
    notebook.run("a = 1; b = 2")
    assert "Saved 2 variables as 'long lunch': " in saved(notebook, "%session save 'long lunch'")
    notebook.run("a = 3")
    saved(notebook)
    table = notebook.run("%session saves").displayed
    assert re.search(r"^long lunch +\d\d:\d\d +2 variables +\d", table, re.MULTILINE)
    assert "2 saves of this notebook." in table

    def complete(line: str) -> list[str]:
        content = {"code": line, "cursor_pos": len(line)}
        matches: list[str] = notebook.request("shell", "complete_request", content)["matches"]
        return matches

    assert complete("%session restore l") == ["long\\ lunch"]
    assert complete("%session restore b") == ["b"]
    assert complete("%session restore 'long lunch' ") == ["a", "b"]
    assert complete("%session restore a ") == ["b"]
    assert complete("%session restore nothing x") == []
    assert complete("%session saves d") == ["delete"]
    assert complete("%session saves delete 'l") == ["'long lunch'"]
    assert complete("%session restore x --f") == ["--force"]
    assert complete("%session autosave o") == ["on", "off"]
    assert "Removed the save 'long lunch'" in notebook.run("%session saves delete 'long lunch'").displayed
    assert "1 save of this notebook." in notebook.run("%session saves").displayed


def test_very_long_names_are_names(start_notebook: Start) -> None:
    notebook, name, other = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-long"), "n" * 300, "m" * 300
    notebook.run(f"{name} = 5")
    saved(notebook)
    notebook.run(f"del {name}")
    assert "Variables restored: 1 variable" in notebook.run(f"%session restore {name}").displayed
    assert notebook.run(name).result == "5"
    said = error_of(notebook.run(f"%session restore {other}"))
    assert said.startswith(f"There is no variable '{'m' * 100}…' in the save of ")
    said = error_of(notebook.run(f"%session save {other}"))
    assert said == f"'{'m' * 64}…' cannot be the name of a save: use 1 to 64 characters that can be printed"
    said = error_of(notebook.run(f"%session saves delete {other}"))
    assert said.startswith(f"There is no save '{'m' * 100}…' of this notebook")


def test_a_session_without_variables_has_nothing_to_save(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-nothing", REMOTE_KERNEL_AUTOSAVE="1")
    notebook.run("a = 1")
    saved(notebook)
    notebook.run("del a")
    assert saved(notebook) == "There is nothing to save: the session has no variables."
    notebook.run("6 * 7")
    assert "The session was given back" in notebook.run("%session release").displayed
    assert "1 save of this notebook" in notebook.run("%session saves").displayed
    assert notebook.run("%session restore").displayed.startswith("Variables restored: 1 variable, from")


def test_autosave_can_be_switched_off_without_the_folder_of_the_saves(start_notebook: Start, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-drive", REMOTE_KERNEL_SAVES=str(drive))
    notebook.run("a = 1")
    drive.rename(tmp_path / "gone")
    for word, is_on in (("on", True), ("off", False)):
        cell = notebook.run(f"%session autosave {word}")
        assert cell.displayed.startswith("The notebook saves" if is_on else "The notebook does not save")
        assert "is not there: make it, or connect its drive." in cell.displayed
    assert "The session was given back" in notebook.run("%session release").displayed


def test_a_restore_asks_before_it_replaces_anything(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-asks")
    notebook.run("a, b = 1, 2")
    saved(notebook, "%session save first")
    notebook.run("a, b = 10, 20")
    cell = notebook.run("%session restore first a", answer="n")
    assert "a is here already, perhaps with another value than in the save 'first' of " in cell.displayed
    assert "Nothing was restored: the variables are as they were." in cell.displayed
    assert notebook.run("a, b").result == "(10, 20)"
    refused = notebook.run("%session restore first", allow_stdin=False)
    assert error_of(refused).startswith(
        "Nothing was restored, as these variables are here already: '%session restore --f"
    )
    assert notebook.run("a, b").result == "(10, 20)"
    assert "Restored: a\n" in notebook.run("%session restore first a", answer="y").displayed
    assert notebook.run("a, b").result == "(1, 20)"
    assert notebook.run("%session restore --force").reply["status"] == "ok"
    assert notebook.run("a, b").result == "(1, 2)"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%session restore nothing", "There is no variable 'nothing' in the save of "),
        ("%session saves delete nothing", "There is no save 'nothing' of this notebook"),
        ("%session save -x", "'-x' is not understood here"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(notebook: Notebook, line: str, said: str) -> None:
    notebook.run("a = 1")
    saved(notebook)
    cell = notebook.run(line)
    assert said in error_of(cell)
    assert notebook.run("a").result == "1"


def test_a_cell_waits_behind_a_save_and_runs_once(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-waits")
    notebook.run("a = [0]")
    first = notebook.client.execute("%session save")
    second = notebook.client.execute("a[0] += 1; print(a[0])")
    assert notebook.reply_to(first)["status"] == "ok"
    assert notebook.reply_to(second)["status"] == "ok"
    assert notebook.run("a[0]").result == "1"
    assert notebook.run("%session restore --force").reply["status"] == "ok"
    assert notebook.run("a[0]").result == "0"


SLOW = """
class Slow:
    def __reduce__(self):
        import time
        open("begun", "w").close()
        time.sleep(600)
slow = Slow()
"""


def test_a_pod_that_ends_in_mid_save_leaves_the_save_before(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-mid-save")
    notebook.run("a = 1")
    saved(notebook, "%session save first")
    notebook.run(SLOW)

    def end_pod(message: Content) -> None:
        if message["msg_type"] == "display_data":
            pool.stop_session("saves-mid-save")

    said = error_of(notebook.run("%session save", on_message=end_pod))
    assert "session" in said
    assert "1 save of this notebook." in notebook.run("%session saves").displayed
    while (cell := notebook.run("%session restore")).reply["status"] == "error":
        assert cell.reply["ename"] == "SessionLost", cell.reply
    assert notebook.run("a").result == "1"


def interrupting(notebook: Notebook) -> Callable[[Content], None]:
    """Return what interrupts a command when it shows its bar; a second time would be meant for what comes next."""
    bars: list[Content] = []

    def look(message: Content) -> None:
        if message["msg_type"] == "display_data":
            bars.append(message)
            if len(bars) == 1:
                notebook.manager.interrupt_kernel()

    return look


def test_an_interrupted_save_leaves_the_one_before(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-interrupted")
    notebook.run("a = 1")
    saved(notebook, "%session save first")
    notebook.run(SLOW)

    cell = notebook.run("%session save", on_message=interrupting(notebook))
    assert cell.reply["ename"] == "KeyboardInterrupt"
    assert "The save was interrupted: nothing of it is kept" in error_of(cell)
    assert "1 save of this notebook." in notebook.run("%session saves").displayed
    assert notebook.run("a").result == "1"


def test_an_interrupted_restore_leaves_the_notebook_alive(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-restore-interrupted")
    notebook.run(
        "class Slow:\n    def __reduce__(self): return (__import__('time').sleep, (600,))\nslow = Slow(); a = 1"
    )
    saved(notebook)
    notebook.run("%reset -f")

    cell = notebook.run("%session restore", on_message=interrupting(notebook))
    assert "The restore was interrupted" in error_of(cell)
    assert notebook.run("6 * 7").result == "42"


def test_the_session_after_a_loss_begins_with_the_save(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-by-itself", REMOTE_KERNEL_AUTORESTORE="1")
    notebook.run("a = 41")
    saved(notebook)
    loss = lose(notebook, pool, "saves-by-itself")
    assert re.search(r"\. The next cell begins with the save of \d\d:\d\d: 1 variable\.$", loss), loss
    cell = notebook.run("a + 1")
    assert cell.result == "42"
    assert "Variables restored: 1 variable, from the save of " in cell.displayed
    assert "Variables restored" not in notebook.run("a").displayed


def end(notebook: Notebook, pool: Pool, sessions: int) -> None:
    """Shut a notebook's kernel down, until the pool has its session no more."""
    notebook.client.shutdown()
    wait_until(lambda: not notebook.manager.is_alive() and len(pool.sessions()) == sessions)


def test_the_first_session_of_a_new_kernel_begins_with_the_save(start_notebook: Start, pool: Pool) -> None:
    names = {"REMOTE_KERNEL_IDENTIFIER": "saves-morning", "REMOTE_KERNEL_AUTORESTORE": "1"}
    before = len(pool.sessions())
    notebook = start_notebook(**names)
    assert notebook.run("a = 41").displayed == ""
    saved(notebook)
    end(notebook, pool, before)
    later = start_notebook(**names)
    cell = later.run("a + 1")
    assert cell.result == "42"
    assert "Variables restored: 1 variable, from the save of " in cell.displayed
    beside = start_notebook(**names)  # in a session that has its variables
    cells = [beside.run("a"), later.run("del a"), later.run("%session reset"), later.run("'a' in globals()")]
    assert not any("Variables restored" in cell.displayed for cell in cells)
    assert cells[-1].result == "False"


def test_a_new_kernel_says_once_that_there_is_a_save(start_notebook: Start, pool: Pool) -> None:
    name = "saves-reminder"
    before = len(pool.sessions())
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER=name)
    notebook.run("a, rows = 41, (number for number in range(3))")
    saved(notebook)
    end(notebook, pool, before)
    later = start_notebook(REMOTE_KERNEL_IDENTIFIER=name)
    said = ""
    while not said:  # it is told when the saves have been looked at, which no cell waits for
        said = later.run("'a' in globals()").displayed
    assert re.fullmatch(
        r"\[This session is new: '%session restore' brings back the save of \d\d:\d\d: 1 of 2 variables\.\]", said
    ), said  # fmt: skip
    assert later.run("%session restore").displayed.startswith("Variables restored: 1 of 2 variables")
    beside = start_notebook(REMOTE_KERNEL_IDENTIFIER=name)  # in a session that is not new
    assert "This session is new" not in "".join(beside.run("a").displayed for _ in range(2))


def test_a_new_kernel_says_nothing_of_a_save_that_was_restored_meanwhile(start_notebook: Start, pool: Pool) -> None:
    name = "saves-no-reminder"
    before = len(pool.sessions())
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER=name)
    notebook.run("a = 41")
    saved(notebook)
    end(notebook, pool, before)
    later = start_notebook(REMOTE_KERNEL_IDENTIFIER=name)
    later.run("pass")  # which ends before anybody has looked at the saves
    assert later.run("%session restore").displayed.startswith("Variables restored: 1 variable")
    cells = [later.run("a") for _ in range(2)]
    assert [cell.result for cell in cells] == ["41", "41"]
    assert "This session is new" not in "".join(cell.displayed for cell in cells)


def test_a_save_that_ends_its_interpreter_is_restored_by_itself_once(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-harmful", REMOTE_KERNEL_AUTORESTORE="1")
    notebook.run("class Ending:\n    def __reduce__(self): return (__import__('os')._exit, (1,))\nending = Ending()")
    saved(notebook)
    lose(notebook, pool, "saves-harmful")
    cells = [notebook.run("6 * 7") for _ in range(3)]
    assert [cell.reply["status"] for cell in cells[:1]] == ["error"]
    assert cells[-1].result == "42", [cell.of_type("error") for cell in cells]
    loss = lose(notebook, pool, "saves-harmful")
    assert "'%session restore' brings" in loss
    assert notebook.run("6 * 7").result == "42"


def test_a_reset_saves_first(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-reset", REMOTE_KERNEL_AUTOSAVE="1")
    notebook.run("a = 1")
    said = notebook.run("%session reset").displayed
    assert "Saved 1 variable: " in said
    assert "The session was given back" in said
    assert "NameError" in notebook.run("a").reply["ename"]
    assert notebook.run("%session restore").reply["status"] == "ok"
    assert notebook.run("a").result == "1"


def test_a_shutdown_waits_for_no_save_and_drops_what_is_not_whole(start_notebook: Start, pool: Pool) -> None:
    names = {"REMOTE_KERNEL_IDENTIFIER": "saves-shutdown", "REMOTE_KERNEL_AUTOSAVE": "1"}
    before = len(pool.sessions())
    notebook = start_notebook(**names)
    notebook.run("a = 41")
    saved(notebook, "%session save first")
    notebook.run(SLOW)
    notebook.client.shutdown()
    wait_until(lambda: not notebook.manager.is_alive())
    wait_until(lambda: len(pool.sessions()) == before)
    later = start_notebook(**names)
    assert "1 save of this notebook." in later.run("%session saves").displayed
    assert "Restored: a" in later.run("%session restore").displayed
    assert later.run("a + 1").result == "42"


def test_a_shutdown_does_not_wait_for_whoever_holds_the_lock_of_the_saves(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-locked", REMOTE_KERNEL_AUTOSAVE="1")
    notebook.run("a = 41")
    saved(notebook)
    (guard,) = (Folders.of_user().data / "remote-kernel/saves").glob("*/guard")
    with hold(guard):
        notebook.run("a = 42")
        notebook.client.shutdown()
        wait_until(lambda: not notebook.manager.is_alive())


def test_a_signal_saves_as_a_shutdown_does(start_notebook: Start, tmp_path: Path) -> None:
    names = {"REMOTE_KERNEL_IDENTIFIER": "saves-signal", "REMOTE_KERNEL_AUTOSAVE": "1"}
    notebook = start_notebook(REMOTE_KERNEL_LOG=str(tmp_path), **names)
    notebook.run("a = 41")
    os.kill(notebook.pid, signal.SIGTERM)
    wait_until(lambda: not notebook.manager.is_alive())
    is_dropped = any("save dropped" in path.read_text() for path in tmp_path.iterdir())  # on a machine that is busy
    later = start_notebook(**names)
    said = later.run("%session saves").displayed
    assert ("There is no save" if is_dropped else "1 save of this notebook.") in said
    assert later.run("a").result == "41"  # the session has stayed


def test_autosave_is_switched_for_the_notebook_and_later_kernels_of_it(start_notebook: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "a.ipynb")
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=path)
    assert "does not save its variables by itself" in notebook.run("%session autosave").displayed
    assert "saves its variables by itself" in notebook.run("%session autosave on").displayed
    later = start_notebook(REMOTE_KERNEL_NOTEBOOK=path)
    later.run("a = 1")
    assert "saves its variables by itself" in later.run("%session autosave").displayed
    assert "does not save" in later.run("%session autosave off").displayed
    assert (Folders.of_user().data / "remote-kernel/autosave").is_dir()


def test_a_folder_for_saves_that_is_not_there_is_told_and_hides_no_loss(
    start_notebook: Start, pool: Pool, tmp_path: Path
) -> None:
    folder = str(tmp_path / "drive")
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-no-drive", REMOTE_KERNEL_SAVES=folder)
    notebook.run("data = 1")
    assert f"The folder {folder} for saves (REMOTE_KERNEL_SAVES) is not there" in error_of(
        notebook.run("%session save")
    )
    assert lose(notebook, pool, "saves-no-drive").endswith("the next cell starts in a new session.")


def test_a_session_that_cannot_begin_with_its_save_says_so_before_any_cell_runs(
    start_notebook: Start, pool: Pool
) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-changed", REMOTE_KERNEL_AUTORESTORE="1")
    notebook.run("data = 1")
    saved(notebook)
    lose(notebook, pool, "saves-changed")
    for path in (Folders.of_user().data / "remote-kernel/saves").glob("*/objects/*"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    said = error_of(notebook.run("print('it has run')"))
    assert said.startswith("The session does not begin with the save of ")
    assert said.endswith("The next cell runs without it.")
    assert notebook.run("print('it has run')").stdout == "it has run\n"


def test_what_is_not_the_notebook_s_neither_saves_itself_nor_is_taken_for_it(start_notebook: Start, pool: Pool) -> None:
    settings = {"REMOTE_KERNEL_AUTOSAVE": "1", "REMOTE_KERNEL_AUTORESTORE": "1"}
    before = start_notebook(**settings)  # of which nobody knows the notebook
    before.run("a = 1")
    assert "does not save its variables by itself" in before.run("%session autosave").displayed
    saved(before)
    private = start_notebook(**settings)
    private.run("b = 1")
    os.kill(pool.sessions()[-1]["pid"], signal.SIGKILL)
    assert error_of(private.run("b")).endswith("the next cell starts in a new session.")
    assert private.run("'a' in globals()").result == "False"
    fresh = start_notebook(REMOTE_KERNEL_IDENTIFIER="saves-fresh", REMOTE_KERNEL_FRESH="1", **settings)
    fresh.run("a = 1")
    assert "does not save its variables by itself" in fresh.run("%session autosave").displayed


def test_a_restore_takes_the_save_that_the_loss_has_named(start_notebook: Start, pool: Pool) -> None:
    other, notebook = start_notebook(), start_notebook()  # of which nobody knows the notebooks
    other.run("a = 1")
    notebook.run("b = 2")
    saved(notebook)
    saved(other)
    os.kill(pool.sessions()[-1]["pid"], signal.SIGKILL)
    assert "'%session restore' brings back the save of " in error_of(notebook.run("b"))
    notebook.run("%session restore")
    assert notebook.run("b, 'a' in globals()").result == "(2, False)"
