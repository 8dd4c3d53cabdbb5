"""Shells complete the command's words from the script that it prints; typed at real shells."""

import os
import shutil
from pathlib import Path

import pexpect
import pytest

from remote_kernel.cli.completion import SHELLS
from tests.cli.command import run_command

# How to start the shell without the user's own settings, where it looks for a completion in the folder {0}, and what
# makes it do so.
STARTS = {
    "bash": (["--norc", "--noprofile", "-i"], "remote-kernel", "source {0}/remote-kernel"),
    "zsh": (["-f", "-i"], "_remote-kernel", "fpath=({0} $fpath); autoload -U compinit; compinit -D -u"),
    "fish": (["--no-config", "--interactive"], "remote-kernel.fish", "set fish_complete_path {0}"),
}
# In the place of the command: it prints the words that the shell hands over.
STAND_INS = {
    "bash": "remote-kernel() { printf '[%s]' \"$@\"; echo; }",
    "zsh": "remote-kernel() { printf '[%s]' \"$@\"; echo; }",
    "fish": "function remote-kernel; printf '[%s]' $argv; echo; end",
}


def complete(shell: str, folder: Path, *typed: str) -> list[str]:
    """Type the lines at the shell, in `folder`, and return what the command was given by each."""
    options, name, setting = STARTS[shell]
    (folder / name).write_text(run_command("completion", shell).stdout)
    environ = {**os.environ, "TERM": "dumb", "PS1": "$ "}
    process = pexpect.spawn(shell, options, cwd=str(folder), env=environ, encoding="utf-8", timeout=30, echo=False)
    try:
        process.sendline(setting.format(folder))
        process.sendline(STAND_INS[shell])
        seen = []
        for line in typed:
            process.sendline(line)
            process.expect(r"(\[[a-z]\S*\])\s*[\r\n]")
            seen.append(process.match.group(1))
        return seen
    finally:
        process.close(force=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_commands_options_choices_and_notebooks(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    (tmp_path / "report.ipynb").touch()
    (tmp_path / "report.txt").touch()
    assert complete(
        shell,
        tmp_path,
        "remote-kernel doct\t",
        "remote-kernel install --us\t",
        "remote-kernel pool --flavor int\t",
        "remote-kernel run rep\t",
        "remote-kernel saves rep\t",
    ) == [
        "[doctor]",
        "[install][--user]",
        "[pool][--flavor][interpreter]",
        "[run][report.ipynb]",
        "[saves][report.ipynb]",
    ]


def test_hidden_options_are_not_offered() -> None:
    for shell in SHELLS:
        assert "sync-limit" not in run_command("completion", shell).stdout


@pytest.mark.parametrize("arguments", [[], ["powershell"]])
def test_other_shells_are_told(arguments: list[str]) -> None:
    done = run_command("completion", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert "error: " in done.stderr
