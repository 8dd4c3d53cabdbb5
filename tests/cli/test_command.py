"""The command line answers every question about itself, and every mistake with one sentence."""

import argparse
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_kernel import __version__
from remote_kernel.cli import build_parser
from tests.cli.command import COMMAND, run_command, start_command


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield every command, as the words that are typed for it, with its parser."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from commands(command, *words, word)


COMMANDS = dict(commands(build_parser()))
# Those that have to be told something, and what they then say.
WANTING = {
    words: ", ".join(str(action.metavar) for action in needed)
    for words, parser in COMMANDS.items()
    if (needed := [action for action in parser._actions if not action.option_strings and action.nargs in {None, "+"}])
}

every_command = pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "remote-kernel")


@every_command
def test_help_says_what_a_command_does_with_what_and_how_it_ends(words: tuple[str, ...]) -> None:
    done = run_command(*words, "--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: remote-kernel", *words]))
    assert COMMANDS[words].description
    assert not words or "exit status" in done.stdout.lower()
    for action in COMMANDS[words]._actions:
        assert action.help or action.metavar == "COMMAND", action.dest


@every_command
def test_help_of_every_command_fits_a_narrow_terminal_and_shows_an_example(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = COMMANDS[words].format_help().splitlines()
    examples = [line for line in lines if line.startswith(("  remote-kernel ", "example: remote-kernel "))]
    assert [line for line in lines if len(line) > 60 and line not in examples] == []
    assert [line for line in lines if line.endswith("remote-")] == []
    assert examples or not words


@every_command
def test_what_a_command_does_not_know_is_one_sentence_that_names_it(words: tuple[str, ...]) -> None:
    done = run_command(*words, *(["x"] * 2 if words in WANTING and "completion" not in words else []), "--no-such")
    assert (done.status, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    name = " ".join(["remote-kernel", *words])
    assert line.startswith(f"{name}: error: ")
    assert line.endswith(f". See '{name} --help'.")


def test_a_home_folder_that_is_not_there_is_no_news_of_ipython_s(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "IPYTHONDIR"}
    listing = subprocess.run(
        [*COMMAND, "list"],
        capture_output=True,
        text=True,
        env=environ | {"HOME": str(tmp_path / "missing")},
        check=True,
    )
    assert listing.stderr == ""


@pytest.mark.parametrize("words", WANTING, ids=" ".join)
def test_what_is_missing_is_one_sentence(words: tuple[str, ...]) -> None:
    name = " ".join(["remote-kernel", *words])
    done = run_command(*words)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr == (
        f"{name}: error: the following arguments are required: {WANTING[words]}. See '{name} --help'.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nosuch"], "remote-kernel: error: argument COMMAND: invalid choice: 'nosuch'"),
        (["run", "n.ipynb", "--jobs", "0"], "argument --jobs: '0' is not a whole number of 1 or more"),
        (["run", "n.ipynb", "--timeout", "soon"], "argument --timeout: 'soon' is not a number of seconds over 0"),
        (["run", "n.ipynb", "-p", "x"], "argument -p/--parameter: expected 2 arguments"),
        (["doctor", "--timeout", "0"], "argument --timeout: '0' is not a number of seconds over 0"),
        (["logs", "-n", "0"], "argument -n/--lines: '0' is not a whole number of 1 or more"),
        (["install", "--env", "A_SECRET"], "argument --env: write NAME=VALUE"),
        (["install", "--scope", "world"], "argument --scope: invalid choice: 'world'"),
        (["pool", "--port", "99999"], "argument --port: '99999' is not a port from 0 to 65535"),
        (["pool", "--max-sessions", "0"], "argument --max-sessions: '0' is not a whole number of 1 or more"),
        (["pool", "--flavor", "x"], "argument --flavor: invalid choice: 'x' (choose from "),
        (["pool", "--issuer", "http://example.com"], "is not an https:// address"),
        (["pool", "--issuer", "https://ada:sesame@example.com"], "it holds a password"),
        (["pool", "nosuch"], "remote-kernel pool: error: argument COMMAND: invalid choice: 'nosuch'"),
        (["run", "missing.ipynb"], "remote-kernel: cannot read missing.ipynb: no such file or directory"),
        (["run", "/dev/null"], "remote-kernel: cannot read /dev/null: it is not a file"),
        (["upload", "missing.ipynb", __file__], "there is no notebook at missing.ipynb"),
        (["download", "missing.ipynb", "."], "there is no notebook at missing.ipynb"),
        (["install", "--name", "my kernel"], "'my kernel' cannot be the name of a kernel: use letters"),
        (["install", "--endpoint", "pool"], "REMOTE_KERNEL_ENDPOINT is not a URL"),
        (["install", "--endpoint", "https://ada:sesame@x"], "REMOTE_KERNEL_ENDPOINT holds a password"),
        (["uninstall", "nosuch"], "there is no Jupyter kernel named 'nosuch': see 'remote-kernel list'"),
        (["identifier", "missing.ipynb"], "there is no notebook at missing.ipynb"),
        (["identifier", "~nobody-here/n.ipynb"], "there is no user for '~' in '~nobody-here/n.ipynb'"),
        (["logs", "--notebook", "~nobody-here/n.ipynb"], "there is no user for '~' in '~nobody-here/n.ipynb'"),
        (["logs", "--notebook", ""], "--notebook is empty: name a notebook, or leave it out"),
        (["pool", "--port", "80", "status"], "the options of 'remote-kernel pool' are for a pool that it starts"),
        (["pool", "--ready", "3", "stop"], "the options of 'remote-kernel pool' are for a pool that it starts"),
    ],
)
def test_wrong_argument_is_one_sentence_and_status_2(arguments: list[str], sentence: str) -> None:
    done = run_command(*arguments)
    assert (done.status, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("remote-kernel")
    assert sentence in line
    assert not {"A_SECRET", "sesame"} & set(re.findall(r"\w+", line))


def test_version_is_the_packages() -> None:
    assert run_command("--version").stdout == f"remote-kernel {__version__}\n"


def test_no_command_gets_the_help_as_an_error() -> None:
    done = run_command()
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: remote-kernel")


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
    heavy = {"nbclient", "nbformat", "zmq", "rich", "httpx", "starlette", "IPython", "azure", "shtab"}
    program = f"import sys, remote_kernel.cli; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([COMMAND[0], "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("words", ["--help", "run --help", "--version", "list"])
def test_a_full_disk_is_one_sentence(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "remote-kernel: not everything could be written: there is no space left\n"


def test_what_libraries_log_does_not_hide_the_sentence(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").touch()
    endpoint = {"REMOTE_KERNEL_ENDPOINT": "https://127.0.0.1:9", "REMOTE_KERNEL_CREDENTIAL": "environment"}
    done = subprocess.run(
        [*COMMAND, "upload", "n.ipynb", "n.ipynb"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | endpoint | {"AZURE_CLIENT_ID": "half of a login"},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("remote-kernel: REMOTE_KERNEL_CREDENTIAL is 'environment': set AZURE_TENANT_ID")


@pytest.mark.parametrize(
    ("words", "closing"),
    [("--version", ">&-"), ("list", "2>&-"), ("run --help", "<&- >&- 2>&-"), ("run missing.ipynb", ">&- 2>&-")],
)
def test_closed_streams_are_no_reason_for_a_traceback(tmp_path: Path, words: str, closing: str) -> None:
    command = ["sh", "-c", f'exec "$@" {words} {closing}', "sh", *COMMAND]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == (2 if "missing" in words else 0)
    assert "Traceback" not in done.stdout + done.stderr
