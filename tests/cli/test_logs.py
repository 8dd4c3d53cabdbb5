"""`remote-kernel logs` shows what happened, in order, of one notebook or of all."""

import json
import signal
from pathlib import Path

import pytest

from remote_kernel.cli.logs import Logs
from remote_kernel.core.text.log_lines import LogEvent, LogLine, Value
from remote_kernel.io.log_files import MAX_BYTES, append, make_log_folder
from tests.cli.command import run_command, start_command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "logs"
    make_log_folder(path)
    monkeypatch.setenv("REMOTE_KERNEL_LOG", str(path))
    return path


def note(path: Path, at: float, event: str, *, level: str = "info", **fields: Value) -> None:
    program = path.stem.partition("-")[0]
    append(path, LogLine(at=at, level=level, program=program, pid=1, event=LogEvent(event, **fields)).to_json())


def test_lines_of_all_are_in_the_order_of_time(folder: Path) -> None:
    note(folder / "kernel-a.log", 1.0, "started")
    note(folder / "pool.log", 2.0, "pod ready", pod=1)
    note(folder / "kernel-a.log", 3.0, "attached")
    note(folder / "kernel-b.log", 2.5, "started")
    done = run_command("logs")
    assert (done.status, done.stderr) == (0, "")
    assert [line.split("] ")[1] for line in done.stdout.splitlines()] == [
        "started", "pod ready pod=1", "started", "attached",
    ]  # fmt: skip
    assert [json.loads(line)["event"] for line in run_command("logs", "--json", "-n", 2).stdout.splitlines()] == [
        "started", "attached",
    ]  # fmt: skip


def test_lines_of_a_notebook_are_all_those_of_its_kernels(folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        note(folder / f"kernel-{name}.log", 1.0, "started", which=name)
        note(folder / f"kernel-{name}.log", 2.0, "bound", notebook=str(tmp_path / f"{name}.ipynb"))
    note(folder / "pool.log", 1.5, "started")
    lines = run_command("logs", "--notebook", tmp_path / "b.ipynb", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", "bound"]
    assert json.loads(lines[0])["which"] == "b"


def test_last_words_of_a_process_stand_behind_its_last_line(folder: Path) -> None:
    note(folder / "pool.log", 1.0, "started")
    append(folder / "pool.log", "Fatal Python error: Segmentation fault")
    note(folder / "kernel-a.log", 2.0, "attached")
    words = run_command("logs").stdout.splitlines()
    assert words[1].endswith(' pool 1] output text="Fatal Python error: Segmentation fault"')


def test_older_half_of_a_log_is_shown_first(folder: Path) -> None:
    note(folder / "pool.log", 1.0, "started")
    (folder / "pool.log").rename(folder / "pool.log.1")
    note(folder / "pool.log", 2.0, "stopped")
    assert [line.split("] ")[1] for line in run_command("logs").stdout.splitlines()] == ["started", "stopped"]


@pytest.mark.parametrize("arguments", [[], ["--notebook", "none.ipynb"]])
def test_no_logs_are_told_with_their_place(folder: Path, arguments: list[str]) -> None:
    done = run_command("logs", *arguments)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.endswith(f" has written a log in {folder}.\n")
    assert run_command("logs", *arguments, "--json").stdout == ""


def test_follow_goes_on_with_what_comes(folder: Path) -> None:
    note(folder / "kernel-a.log", 1.0, "started")
    with start_command("logs", "--follow", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "started"
        note(folder / "kernel-b.log", 2.0, "bound")
        assert json.loads(process.stdout.readline())["event"] == "bound"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize("seen", [0, 3, 4])
def test_no_line_is_lost_or_shown_twice_when_a_log_begins_anew(folder: Path, seen: int) -> None:
    logs, path = Logs(folder, ""), folder / "pool.log"
    shown = []
    for number in range(7):
        event = LogEvent("noted")
        line = LogLine(at=float(number), level="info", program="pool", pid=1, event=event).to_json()
        # After four of these the log begins anew.
        append(path, line.replace("noted", "noted".ljust(MAX_BYTES * 3 // 10)))
        shown += logs.read() if number < seen else []
    shown += logs.read()
    assert (folder / "pool.log.1").exists()
    assert [line.at for line in shown] == list(map(float, range(7)))


def test_of_a_log_that_was_emptied_the_older_half_is_not_shown_again(folder: Path) -> None:
    (folder / "pool.log.1").write_text("")
    note(folder / "pool.log.1", 1.0, "started")
    note(folder / "pool.log", 2.0, "attached")
    logs = Logs(folder, "")
    assert [line.event.name for line in logs.read()] == ["started", "attached"]
    (folder / "pool.log").write_text("")
    assert logs.read() == []
    note(folder / "pool.log", 3.0, "on")
    assert [line.event.name for line in logs.read()] == ["on"]
