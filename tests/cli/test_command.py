"""The command line answers every question about itself, and every mistake with a sentence."""

import subprocess
from pathlib import Path

import pytest

from remote_kernel import __version__
from tests.cli.command import COMMAND, run_command, start_command


@pytest.mark.parametrize(
    "command", [[], ["run"], ["upload"], ["download"], ["identifier"], ["pool"], ["pool", "status"], ["pool", "stop"]]
)
def test_help_is_there_for_every_command(command: list[str]) -> None:
    done = run_command(*command, "--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: remote-kernel", *command]))


def test_version_is_the_packages() -> None:
    assert run_command("--version").stdout == f"remote-kernel {__version__}\n"


def test_no_command_gets_the_help_as_an_error() -> None:
    done = run_command()
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: remote-kernel")


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"], ["run", "n.ipynb", "--nosuch"], ["identifier"]])
def test_wrong_arguments_are_told_with_the_usage(arguments: list[str]) -> None:
    done = run_command(*arguments)
    assert done.status == 2
    assert "error: " in done.stderr


def test_error_of_ours_is_one_sentence(tmp_path: Path) -> None:
    done = run_command("identifier", tmp_path / "missing.ipynb")
    assert done.status == 2
    assert done.stderr.startswith("remote-kernel: ")
    assert len(done.stderr.splitlines()) == 1


def test_reader_that_goes_away_is_no_error_text(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    notebook.touch()
    with start_command("identifier", notebook) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_help_loads_nothing_heavy() -> None:
    heavy = {"nbclient", "nbformat", "zmq", "rich", "httpx", "starlette", "IPython", "azure"}
    program = f"import sys, remote_kernel.cli; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([COMMAND[0], "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
