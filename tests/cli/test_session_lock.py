"""`remote-kernel run --lock`: what a session had, written down, and compared at the next run."""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.cli.run.session_lock import EXPRESSION, SessionLock, compare, parse_inventory
from tests.cli.command import run_command, texts_of, write_notebook

pytestmark = pytest.mark.slow

LOCK = SessionLock(interpreter="CPython 3.12.4", platform="linux-x86_64", packages={"a": "1", "b": "1", "c": "1"})


def written(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text())
    return fields


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A lock of what this environment has, beside a notebook "n.ipynb" with its outputs."""
    notebook = write_notebook(tmp_path / "n.ipynb", "print(40 + 2)")
    done = run_command("run", notebook, "--kernel", "python3", "-o", notebook, "--lock", tmp_path / "session.lock")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == str(tmp_path / "session.lock")
    return tmp_path / "session.lock"


def test_a_run_writes_what_its_session_had(locked: Path) -> None:
    fields = written(locked)
    assert list(fields) == ["remote-kernel-lock", "interpreter", "platform", "packages"]
    assert fields["interpreter"] == f"CPython {platform.python_version()}"
    assert fields["platform"].startswith(sys.platform)
    assert fields["packages"]["ipykernel"] == version("ipykernel")
    assert list(fields["packages"]) == sorted(fields["packages"])


def test_the_next_run_says_what_differs_and_fails_where_it_verifies(locked: Path) -> None:
    notebook = locked.with_name("n.ipynb")
    done = run_command("run", notebook, "--verify", "--kernel", "python3", "--lock", locked)
    assert (done.status, done.stderr) == (0, "")
    fields = written(locked)
    packages = {**fields["packages"], "ipykernel": "1.0", "rk-gone": "3.0"}
    del packages["packaging"]
    locked.write_text(json.dumps({**fields, "interpreter": "CPython 2.7", "platform": "amiga", "packages": packages}))
    before = locked.read_bytes()
    said = [
        f"the interpreter is CPython {platform.python_version()}, and was CPython 2.7",
        f"the platform is {fields['platform']}, and was amiga",
        f"1 package is of another version: ipykernel {version('ipykernel')} (was 1.0)",
        "1 package is not there: rk-gone 3.0",
        f"1 package is new: packaging {version('packaging')}",
    ]
    done = run_command("run", notebook, "--kernel", "python3", "--lock", locked)
    assert (done.status, done.stderr.splitlines()) == (0, [f"remote-kernel: {locked}: {sentence}" for sentence in said])
    done = run_command("run", notebook, "--verify", "--json", "--kernel", "python3", "--lock", locked)
    told = json.loads(done.stdout)
    assert (done.status, told["status"], told["lock_differences"]) == (1, 1, said)
    assert locked.read_bytes() == before


def test_cells_have_their_numbers_and_nothing_of_it_among_their_variables(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(In, sorted(name for name in dir() if name[0] != '_'))")
    run_command("run", notebook, "--kernel", "python3", "--lock", tmp_path / "with.lock")
    (text,) = texts_of(tmp_path / "n.executed.ipynb")
    assert "['', \"print(In" in text
    assert text.rstrip().endswith("['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']")
    assert json.loads((tmp_path / "n.executed.ipynb").read_text())["cells"][0]["execution_count"] == 1


def test_the_session_is_asked_and_not_this_machine(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "import os; open('x', 'w').close()")
    assert run_command("run", notebook, "--kernel", remote_kernel, "--lock", tmp_path / "remote.lock").status == 0
    assert "ipykernel" in written(tmp_path / "remote.lock")["packages"]
    done = run_command("run", notebook, "--kernel", remote_kernel, "--lock", tmp_path / "remote.lock")
    assert (done.status, done.stderr) == (0, "")


def test_a_run_that_failed_writes_none(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1 / 0")
    assert run_command("run", notebook, "--kernel", "python3", "--lock", tmp_path / "a.lock").status == 1
    assert not (tmp_path / "a.lock").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "is not a lock of a session: it is not JSON"),
        ("[" * 100_000, "is not a lock of a session: it is not JSON"),
        ("[]", "it is not one of 'run --lock', or of a later version"),
        ('{"remote-kernel-lock": 2}', "it is not one of 'run --lock', or of a later version"),
        ('{"remote-kernel-lock": 1}', "it does not say what a session has"),
        (
            '{"remote-kernel-lock": 1, "interpreter": "", "platform": "", "packages": {"a": 1}}',
            "versions that are none",
        ),
    ],
)
def test_a_file_that_is_something_else_is_told_before_anything_runs(text: str, said: str, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    (tmp_path / "a.lock").write_text(text)
    done = run_command("run", notebook, "--kernel", "python3", "--lock", tmp_path / "a.lock")
    assert done.status == 2
    assert said in done.stderr
    assert (tmp_path / "a.lock").read_text() == text


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    done = run_command("run", notebook, "--kernel", "python3", "--lock", tmp_path / "nosuch/a.lock")
    assert (done.status, "there is no folder" in done.stderr) == (2, True)


def test_many_differences_are_counted() -> None:
    many = SessionLock(
        interpreter=LOCK.interpreter, platform=LOCK.platform, packages={f"p{n:02}": "1" for n in range(20)}
    )
    assert compare(LOCK, many) == [
        "3 packages are not there: a 1, b 1, c 1",
        "20 packages are new: p00 1, p01 1, p02 1, p03 1, p04 1, p05 1, p06 1, p07 1 and 12 more",
    ]
    assert compare(LOCK, LOCK) == []


def reply(text: str) -> dict[str, Any]:
    return {"content": {"user_expressions": {"lock": {"status": "ok", "data": {"text/plain": text}}}}}


@pytest.mark.parametrize(
    "text", ["", "1", "'{}'", "'[1'", repr(json.dumps({"interpreter": "\x1b", "platform": "", "packages": {}}))]
)
def test_a_kernel_that_says_something_else_has_said_nothing(text: str) -> None:
    assert parse_inventory(reply(text)) is None
    assert parse_inventory({"content": {"status": "error"}}) is None


def test_what_is_asked_is_an_expression() -> None:
    told = parse_inventory(reply(repr(eval(EXPRESSION))))
    assert told is not None
    assert told.packages["pytest"] == version("pytest")
