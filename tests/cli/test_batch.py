"""`remote-kernel run` with several notebooks: at the same time, each for itself, told in one table."""

import asyncio
import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from remote_kernel.cli.output.report import explanation, verdict
from remote_kernel.cli.run.batch import Display, Job, execute_batch
from remote_kernel.cli.run.execution import Cause, Listener, Plan
from tests.cli.command import outputs_of, run_command, start_command, texts_of, wait_line, write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.driver import Pool

pytestmark = pytest.mark.slow

# Each of two notebooks waits for the other one's file.
MEET = """\
import pathlib, time
pathlib.Path({mine!r}).touch()
while not pathlib.Path({other!r}).exists():
    time.sleep(0.01)
print("met")"""


def test_notebooks_run_at_the_same_time(tmp_path: Path) -> None:
    first = write_notebook(tmp_path / "a.ipynb", MEET.format(mine="a", other="b"))
    second = write_notebook(tmp_path / "b.ipynb", MEET.format(mine="b", other="a"))
    done = run_command("run", first, second, "--kernel", "python3", "--jobs", 2, "--timeout", 60)
    assert (done.status, done.stderr) == (0, "")
    assert texts_of(tmp_path / "a.executed.ipynb") == texts_of(tmp_path / "b.executed.ipynb") == ["met\n"]


def test_one_that_fails_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_notebook(Path("bad.ipynb"), "print('x')", "1 / 0\n\x1b" + "# comment", "print('never')")
    write_notebook(Path("good.ipynb"), "print('\\x1b[1mgood\\x1b[0m')")
    done = run_command("run", "bad.ipynb", "good.ipynb", "--kernel", "python3", "--junit", "r.xml")
    assert done.status == 1
    assert done.stderr.startswith("remote-kernel: bad.ipynb: cell 2 of 3 raised SyntaxError")
    table = done.stdout.splitlines()[-5:]
    assert [line.split("  ")[0] for line in table[:3]] == ["NOTEBOOK  ".strip(), "bad.ipynb", "good.ipynb"]
    assert "cell 2 raised SyntaxError  2 of 3" in table[1]
    assert table[2].split()[1:3] == ["ok", "1"]
    assert table[3:] == ["bad.executed.ipynb", "good.executed.ipynb"]
    suites = ElementTree.parse("r.xml").getroot()
    assert {name: suites.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    first, second, third = suites[0]
    assert (first.get("name"), first.find("failure")) == ("cell 1: print('x')", None)
    failure = second.find("failure")
    assert failure is not None
    assert failure.get("message") == "cell 2 raised SyntaxError"
    assert "SyntaxError" in (failure.text or "")
    assert third.find("skipped") is not None


def test_json_has_everything_and_is_all_there_is(tmp_path: Path) -> None:
    stored = new_code_cell("print(2)", outputs=[new_output("stream", text="1\n")])
    first = write_notebook(tmp_path / "a.ipynb", stored)
    second = write_notebook(tmp_path / "b.ipynb", stored, "1 / 0")
    done = run_command("run", first, second, "--kernel", "python3", "--verify", "--json", "--junit", tmp_path / "r.xml")
    assert done.status == 1
    fields = json.loads(done.stdout)
    assert fields["status"] == 1
    one, two = fields["notebooks"]
    assert one["result"] == "1 cell differs"
    assert one["differences"] == [{"cell": 1, "source": "print(2)", "diff": ["-1", "+2"]}]
    assert two["failure"]["error"] == "ZeroDivisionError: division by zero"
    assert (one["written"], two["started"], two["cells"]) == ([], 2, 2)
    suites = ElementTree.parse(tmp_path / "r.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("3", "3")


def test_what_a_workspace_has_moved_is_told(tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[tool.remote-kernel]\nworkspace = "."\n')
    (project / "data.csv").write_text("1,2")
    moving = write_notebook(project / "moving.ipynb", "n = open('out.csv', 'w').write(open('data.csv').read())")
    plain = write_notebook(tmp_path / "plain.ipynb", "1")
    (tmp_path / "out").mkdir()

    done = run_command("run", moving, "-o", tmp_path / "o.ipynb")
    assert (done.status, done.stderr) == (0, "")
    assert "\nworkspace: 2 up, 1 down\n" in done.stdout
    assert (project / "out.csv").read_text() == "1,2"

    done = run_command("run", moving, plain, "-o", tmp_path / "out", "--junit", tmp_path / "r.xml")
    head, first, second = done.stdout.splitlines()[-5:-2]
    assert (head.endswith("  WORKSPACE"), first.endswith("  3 up"), second.endswith(" s")) == (True, True, True)
    properties = ElementTree.parse(tmp_path / "r.xml").getroot().iter("property")
    assert {each.get("name"): each.get("value") for each in properties} == {
        "workspace.up": "3", "workspace.down": "0", "workspace.kept_twice": "0",
    }  # fmt: skip

    monkeypatch.setenv("REMOTE_KERNEL_WORKSPACE_DOWN", "0")
    fields = json.loads(run_command("run", moving, "-o", tmp_path / "o.ipynb", "--json").stdout)
    assert fields["notebooks"][0]["workspace"] == {"up": 3, "down": 0, "kept_twice": 0}
    fields = json.loads(run_command("run", plain, "-o", tmp_path / "o.ipynb", "--kernel", "python3", "--json").stdout)
    assert fields["notebooks"][0]["workspace"] is None


class Broken(Listener):
    """Fails with the second cell."""

    def cell_started(self, number: int, source: str) -> None:
        if number == 2:
            raise ZeroDivisionError(source)


class Shown(Display):
    """Fails with the notebook that is named so, and listens to others until their second cell."""

    def notebook_started(self, job: Job) -> Listener:
        if job.path.stem == "unlistened":
            raise ZeroDivisionError("its listener")
        return Broken()


def test_defect_of_one_notebook_ends_that_one_and_keeps_what_it_has(tmp_path: Path) -> None:
    jobs = []
    for name in ("unlistened", "broken"):
        path = write_notebook(tmp_path / f"{name}.ipynb", "print('first')", "print('second')")
        plan = Plan(path=path, kernel="python3", environ=os.environ)
        jobs.append(Job(path=path, notebook=nbformat.read(path, 4), plan=plan, output=tmp_path / f"{name}.out"))
    results = asyncio.run(execute_batch(jobs, 1, Shown()))
    failures = [result.outcome.failure for result in results]
    assert [failure and (failure.cause, failure.cell) for failure in failures] == [(Cause.INSIDE, 0), (Cause.INSIDE, 2)]
    assert list(map(verdict, results)) == ["failed inside (ZeroDivisionError)"] * 2
    unlistened, broken = (explanation(result, names_notebook=True) for result in results)
    assert "the run failed inside, outside of its cells: ZeroDivisionError: its listener\nTraceback" in unlistened
    assert "the run failed inside, in cell 2 of 2: ZeroDivisionError: print('second')\nTraceback" in broken
    assert outputs_of(tmp_path / "broken.out") == [
        [{"name": "stdout", "output_type": "stream", "text": ["first\n"]}], []
    ]  # fmt: skip


def test_results_go_to_a_folder(tmp_path: Path) -> None:
    paths = [write_notebook(tmp_path / name, "1") for name in ("a.ipynb", "b.ipynb")]
    (tmp_path / "out").mkdir()
    done = run_command(
        "run", *paths, "--kernel", "python3", "-o", tmp_path / "out", "--html", tmp_path / "out", "--jobs", 2
    )
    assert (done.status, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.html", "a.ipynb", "b.html", "b.ipynb"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.ipynb", "missing.ipynb"], "cannot read missing.ipynb: no such file or directory"),
        (["a.ipynb", "b.ipynb", "-o", "out.ipynb"], "--output must be a folder for several notebooks"),
        (["a.ipynb", "b.ipynb", "--html", "x.html"], "--html must be a folder for several notebooks"),
        (["a.ipynb", "a.ipynb"], "results of a.ipynb and of a.ipynb would both go to a.executed.ipynb"),
        (["a.ipynb", "--jobs", "0"], "'0' is not a whole number of 1 or more"),
        (["a.ipynb", "--jobs", "two"], "'two' is not a whole number of 1 or more"),
        (["a.ipynb", "--junit", "no/where.xml"], "cannot write no/where.xml: there is no folder"),
    ],
)
def test_nothing_runs_where_something_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.ipynb", "b.ipynb"):
        write_notebook(Path(name), "open('ran', 'w')")
    done = run_command("run", *arguments)
    assert done.status == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not Path("ran").exists()


def test_signal_ends_every_notebook_and_begins_no_other(tmp_path: Path) -> None:
    source = "import time\nopen('{}', 'w')\nprint('asleep', flush=True)\ntime.sleep(600)"
    first = write_notebook(tmp_path / "a.ipynb", source.format("a"))
    second = write_notebook(tmp_path / "b.ipynb", MEET.format(mine="b", other="a") + "\ntime.sleep(600)")
    third = write_notebook(tmp_path / "c.ipynb", "open('c', 'w')")
    with start_command("run", first, second, third, "--kernel", "python3", "--jobs", 2) as process:
        wait_line(process, f"{second}: started")
        while not (tmp_path / "a").exists() or not (tmp_path / "b").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert "a.ipynb: interrupted in cell 1 of 1" in stderr
    assert "c.ipynb: interrupted before the first cell" in stderr
    assert "not started" in stdout
    assert outputs_of(tmp_path / "a.executed.ipynb")[0][-1]["ename"] == "KeyboardInterrupt"
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "c.executed.ipynb").exists()


def test_terminal_shows_a_bar_for_each_notebook_and_colours_in_the_table(tmp_path: Path) -> None:
    paths = [write_notebook(tmp_path / f"{name}.ipynb", code) for name, code in (("[a]", "1"), ("b", "1 / 0"))]
    status, text = show_on_terminal("run", *paths, "--kernel", "python3", "--jobs", 2, COLUMNS="200")
    assert status == 1
    assert "all notebooks" in text
    assert "cell 1 of 1" in text
    assert "[a].ipynb" in text
    assert "\x1b[32mok" in text
    assert "\x1b[31mcell 1 raised ZeroDivisionError" in text


def test_notebook_with_odd_text_ends_neither_the_batch_nor_its_report(tmp_path: Path) -> None:
    odd = write_notebook(tmp_path / "odd.ipynb", "1 + 1")
    fields = json.loads(odd.read_text())
    fields["cells"].append({"cell_type": "markdown", "id": "text", "metadata": {}, "source": "half \udcc0 and \ud83d"})
    odd.write_text(json.dumps(fields))
    unsendable = write_notebook(tmp_path / "unsendable.ipynb", "1")
    unsendable.write_text(unsendable.read_text().replace('"1"', "\"print('\\ud800')\""))
    name = os.fsdecode(b"caf\xe9.ipynb")
    good = [write_notebook(tmp_path / "good.ipynb", "1 + 1"), write_notebook(tmp_path / name, "1 + 1")]
    done = run_command(
        "run", odd, unsendable, *good, "--kernel", "python3", "--html", tmp_path, "--junit", tmp_path / "j"
    )
    assert done.status == 1
    assert "unsendable.ipynb: cell 1 of 1 holds half of a surrogate pair" in done.stderr
    executed = json.loads((tmp_path / "odd.executed.ipynb").read_text())
    assert executed["cells"][1]["source"] == ["half \udcc0 and \ud83d"]
    for path in (*good, odd):
        assert texts_of(path.parent / f"{path.stem}.executed.ipynb") == ["2"]
        assert (tmp_path / f"{path.stem}.html").exists()
    suites = ElementTree.parse(tmp_path / "j").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("4", "1")
