"""`%session` in a notebook: the card, the files, the bar, Tab."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.driver import Content, Notebook, Pool, wait_until
from tests.faults.proxy import FaultProxy, Plan

Start = Callable[..., Notebook]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The notebook's folder, which its kernel runs in."""
    folder = tmp_path_factory.mktemp("notebook's folder")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def notebook(folder: Path, shared_notebook: Notebook) -> Notebook:
    """One kernel with a session for the tests that leave it as they found it."""
    shared_notebook.run("pass")
    return shared_notebook


def displays(messages: list[Content]) -> list[str]:
    return [
        message["content"]["data"]["text/plain"]
        for message in messages
        if message["msg_type"] in {"display_data", "update_display_data"}
    ]


def test_the_card_tells_where_the_cells_run_and_how_the_pod_is(notebook: Notebook, pool: Pool) -> None:
    cell = notebook.run("%session")
    assert cell.reply["execution_count"] == notebook.run("1").reply["execution_count"]  # its own is not counted there
    pod = notebook.run("__import__('os').environ['REMOTE_KERNEL_POD']").result.strip("'")
    (display,) = cell.of_type("display_data")
    text, html = display["data"]["text/plain"], display["data"]["text/html"]
    for said in (
        "Remote session: connected",
        f"{pod} in the session pool at 127.0.0.1:",
        r"Since +\d\d:\d\d, for ",
        r"Stays warm +until \d\d:\d\d if nothing runs, then 5 min \(the pool's cooldown\)",
        r"Software +Python 3\.\d+\.\d+, numpy \d",
        r"Memory +[\d.]+ MB of [\d.]+ GB, \d+ processor",
        r"Round trip +[\d.]+ ms",
        rf"Pool +{len(pool.sessions())} of 30 sessions in use",
    ):
        assert re.search(said, text), (said, text)
    assert pod in html
    assert "<script" not in html


def test_the_card_takes_no_session(start_notebook: Start, pool: Pool) -> None:
    before = len(pool.sessions())
    cell = start_notebook().run("%session")
    text = cell.displayed
    assert "Remote session: not started" in text
    assert "from the first cell on" in text
    assert cell.reply["execution_count"] == 1  # without a number, JupyterLab would show it as running
    assert len(pool.sessions()) == before


def test_the_card_tells_what_it_knows_with_the_network_down(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("pass")
        proxy.refuse(True)
        text = notebook.run("%session").displayed
        assert "Remote session: not reachable" in text
        assert re.search(r"pod-\w{6} in the session pool at 127", text)


def test_files_go_up_are_listed_used_and_come_down(notebook: Notebook, folder: Path) -> None:
    (folder / "my data").mkdir()
    (folder / "my data" / "größe.csv").write_text("a,b\n1,2\n")
    up = notebook.run("%session upload 'my data' --to in").displayed
    assert re.fullmatch(r"Uploaded 1 file, 8 B, to 'in' in the session in [\d.]+ m?s\. All checksums agree\.", up), up
    assert "größe.csv" in notebook.run("%session files 'in/my data'").displayed
    assert "1 folder" in notebook.run("%session files in").displayed
    notebook.run(
        "import os; os.makedirs('out'); open('out/result.txt', 'w').write(open('in/my data/größe.csv').read())"
    )
    down = notebook.run("%session download out 'in/my data/größe.csv' --to results").displayed
    assert down.startswith(f"Downloaded 2 files, 16 B, to {folder / 'results'} in ")
    assert (folder / "results/out/result.txt").read_text() == "a,b\n1,2\n"
    assert (folder / "results/größe.csv").read_text() == "a,b\n1,2\n"


def test_a_download_keeps_what_is_here_and_differs(notebook: Notebook, folder: Path) -> None:
    (folder / "kept.csv").write_text("mine")
    notebook.run("open('kept.csv', 'w').write('of the session')")
    said = notebook.run("%session download kept.csv").displayed
    assert "What is here and differs stayed; the session's is in 'kept (from the session).csv' (--force" in said
    assert (folder / "kept.csv").read_text() == "mine"
    assert (folder / "kept (from the session).csv").read_text() == "of the session"
    assert "1 file had not changed" in notebook.run("%session download kept.csv").displayed
    notebook.run("open('kept.csv', 'w').write('newer')")
    assert "'kept (from the session 2).csv'" in notebook.run("%session download kept.csv").displayed
    assert "Downloaded 1 file" in notebook.run("%session download --force kept.csv").displayed
    assert (folder / "kept.csv").read_text() == "newer"


def test_one_odd_name_costs_that_one(notebook: Notebook, folder: Path) -> None:
    names = [b"a\\b.csv", b"red \x1b[31m", b"line\nend", b".hidden", b"fine.csv", b"\xfe", b"\xff"]
    notebook.run(f"import os; os.mkdir('odd'); [open(b'odd/' + name, 'w').close() for name in {names!r}]")
    said = notebook.run("%session download odd").displayed
    assert sorted(path.name for path in (folder / "odd").iterdir()) == [".hidden", "a\\b.csv", "fine.csv"]
    assert r"'odd/line\nend' cannot be written here: its name has a character that cannot be shown." in said
    assert "'odd/\ufffd' is not there any more, or cannot be read." in said


def test_an_upload_may_come_before_the_first_cell(start_notebook: Start, folder: Path) -> None:
    (folder / "early.txt").write_text("early")
    notebook = start_notebook()
    assert "There are no files" in notebook.run("%session files").displayed
    assert "Uploaded 1 file" in notebook.run("%session upload early.txt").displayed
    assert notebook.run("open('early.txt').read()").result == "'early'"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%session upload", "Say which files: %session upload PATH… [--to DIR]"),
        ("%session upload 'my", "A quotation mark or a backslash has no partner"),
        ("%session upload --form x", "'--form' is not understood here"),
        ("%session upload --force x", "'--force' is not understood here"),
        ("%session upload nothing.csv", "There is no file or folder 'nothing.csv' on this machine (looked in "),
        ("%session download nothing.csv", "There is no file or folder 'nothing.csv' in the session"),
        ("%session download ../../etc", "A path may not contain '..'"),
        ("%session files nothing", "There is no folder 'nothing' in the session"),
        ("%session files a b", "One path at a time"),
        ("%session --help", "There is no '%session --help'. Did you mean '%session help'?"),
        ("%session where am I", "There is no '%session where'. '%session help' lists what there is."),
        ("%session reset now", "Nothing may stand behind '%session reset'."),
        ("%session keep long", "Say for how long, up to 7d"),
        ("%session keep 9d", "Say for how long, up to 7d"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(notebook: Notebook, line: str, said: str) -> None:
    cell = notebook.run(line, answer="somebody is there")
    assert cell.reply["status"] == "error"
    (error,) = cell.of_type("error")
    assert said in error["evalue"]
    assert len(error["traceback"]) == 1
    assert cell.displayed == error["evalue"]


def test_a_bar_is_updated_in_place_through_a_line_that_is_cut_five_times(pool: Pool, folder: Path) -> None:
    content = os.urandom(3_000_000)
    (folder / "big.bin").write_bytes(content)
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("pass")
        first = proxy.connections
        # One of these connections is the link's own, which never sends so much that it is cut.
        proxy.plan = lambda number: Plan(cut_up_after=400_000 if number <= first + 5 else None, bytes_per_second=6e6)
        proxy.cut()
        cell = notebook.run("%session upload big.bin")
        assert cell.reply["status"] == "ok"
        assert proxy.connections > first + 5
        digest = "import hashlib; hashlib.sha256(open('big.bin', 'rb').read()).hexdigest()"
        assert notebook.run(digest).result == f"'{hashlib.sha256(content).hexdigest()}'"
        (shown,) = {
            message["content"]["transient"]["display_id"]
            for message in cell.messages
            if message["msg_type"] in {"display_data", "update_display_data"}
        }
        texts = displays(cell.messages)
        assert re.match(r"Uploading big\.bin: \d+%, ", texts[0])
        assert texts[-1].startswith("Uploaded 1 file, 3.0 MB, to the session in ")
        percents = [int(found[1]) for text in texts if (found := re.search(r": (\d+)%", text))]
        assert percents == sorted(percents)
        assert shown


def test_an_interrupted_transfer_says_so_and_goes_on_when_it_is_run_again(pool: Pool, folder: Path) -> None:
    (folder / "slow.bin").write_bytes(os.urandom(3_000_000))
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("pass")
        proxy.plan = lambda _number: Plan(bytes_per_second=2e6)
        proxy.cut()
        msg_id = notebook.client.execute("%session upload slow.bin")
        behind = notebook.client.execute("1")
        notebook.wait_iopub(lambda message: "3.0 MB" in str(message["content"].get("data")))
        notebook.request("control", "interrupt_request", {})
        reply = notebook.reply_to(msg_id)
        assert reply["ename"] == "KeyboardInterrupt"
        assert "Run the cell again to go on" in reply["evalue"]
        assert notebook.reply_to(behind)["status"] == "aborted"
        proxy.plan = lambda _number: Plan()
        proxy.cut()
        assert "Uploaded 1 file, 3.0 MB" in notebook.run("%session upload slow.bin").displayed


def complete(notebook: Notebook, typed: str) -> list[str]:
    """Press Tab at the end of a line, and return what the line would become."""
    reply = notebook.request("shell", "complete_request", {"code": typed, "cursor_pos": len(typed)})
    assert reply["status"] == "ok"
    assert reply["cursor_end"] == len(typed)
    return [typed[: reply["cursor_start"]] + match for match in reply["matches"]]


def test_tab_completes_words_and_paths_of_both_sides(notebook: Notebook, folder: Path) -> None:
    (folder / "local one.csv").touch()
    (folder / "local folder").mkdir()
    notebook.run("open('remote one.csv', 'w').close()\nimport os; os.makedirs('remote folder/below', exist_ok=True)")
    assert complete(notebook, "%session re") == ["%session restore", "%session reset", "%session release"]
    assert complete(notebook, "%session upload loc") == [
        "%session upload local\\ folder/", "%session upload local\\ one.csv",
    ]  # fmt: skip
    assert complete(notebook, '%session upload x "local o') == ['%session upload x "local one.csv"']
    assert complete(notebook, "%session upload x --") == ["%session upload x --to"]
    assert complete(notebook, "%session download x --to y --") == ["%session download x --to y --force"]
    assert complete(notebook, "%session upload x --to rem") == ["%session upload x --to remote\\ folder/"]
    assert complete(notebook, "%session upload x --to remote\\ folder/b") == [
        "%session upload x --to remote\\ folder/below/"
    ]
    assert complete(notebook, "%session download 'remote o") == ["%session download 'remote one.csv'"]
    assert complete(notebook, "%session download x --to loc") == ["%session download x --to local\\ folder/"]


def test_tab_puts_no_line_and_no_option_of_the_pod_s_into_a_cell(notebook: Notebook) -> None:
    names = ["tab\nprint(1)", "tab\x1b[2J", "tab fine", "--to=.ssh"]
    notebook.run(f"[open(name, 'w').close() for name in {names!r}]")
    assert complete(notebook, "%session download tab") == ["%session download tab\\ fine"]
    found = complete(notebook, "%session download ")
    assert any(line.startswith("%session download ./--to") for line in found)
    assert not any(line.startswith("%session download --") for line in found)


def test_tab_and_questions_about_other_code_are_the_pod_s(notebook: Notebook) -> None:
    notebook.run("%config IPCompleter.use_jedi = False\na_long_name = 1")
    assert complete(notebook, "a_long_n") == ["a_long_name"]
    assert complete(notebook, "%session anything enum") == []
    inspected = notebook.request("shell", "inspect_request", {"code": "%session", "cursor_pos": 8, "detail_level": 0})
    assert "%session upload" in inspected["data"]["text/plain"]


def test_a_lost_session_is_told_instead_of_a_transfer_to_another(
    start_notebook: Start, pool: Pool, folder: Path, private_folders: Path
) -> None:
    (folder / "x").touch()
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="lost-before-upload")
    notebook.run("a = 1")
    (binding,) = (private_folders / "runtime/remote-kernel/kernels").glob("*.json")
    pool.stop_session("lost-before-upload")
    wait_until(lambda: json.loads(binding.read_text())["epoch"] == "")
    assert notebook.run("%session upload x").reply["ename"] == "SessionLost"
    assert notebook.run("'a' in globals(), __import__('os').path.exists('x')").result == "(False, False)"


def test_keep_takes_no_session(notebook: Notebook, pool: Pool) -> None:
    notebook.run("1")
    before = len(pool.sessions())
    notebook.run("%session release")
    assert "the next cell takes is kept warm until" in notebook.run("%session keep 1h").displayed
    assert "not started" in notebook.run("%session").displayed
    assert len(pool.sessions()) == before - 1


@pytest.mark.slow
def test_keep_holds_a_pod_for_longer_than_usual_until_it_is_called_off() -> None:
    with (
        Pool.start("--cooldown", "3") as pool,
        Notebook.start(environ={**pool.environ(), "REMOTE_KERNEL_KEEPALIVE_MINUTES": "0"}) as notebook,
    ):
        assert "the next cell takes is kept warm until" in notebook.run("%session keep 1h").displayed
        notebook.run("a = 1")
        assert "kept warm for 2 h, until " in notebook.run("%session keep 2h").displayed
        kept_from = time.monotonic()
        wait_until(lambda: time.monotonic() - kept_from > 4 or not pool.sessions())
        assert notebook.run("a").result == "1"
        assert "only as long as usual" in notebook.run("%session keep off").displayed
        wait_until(lambda: not pool.sessions())
