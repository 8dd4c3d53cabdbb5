"""Objects that misbehave while they are pickled, disks that are full, processes that end: the notebook goes on."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from tests.namespace.conftest import Start
from tests.namespace.interpreter import Interpreter, contents, wait_end

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]  # the time is for a machine that does much else

FORK = pytest.mark.parametrize("fork", [True, False], ids=["fork", "in place"])

# An object that does something when it is pickled.
BAD = """
import os, signal, time
class Bad:
    def __init__(self, code): self.code = code
    def __reduce__(self):
        exec(self.code)
        return str, (self.code,)
"""


def lost_of(saved: Path) -> dict[str, str]:
    return {each.name: each.reason for each in contents(saved, json.loads((saved / "manifest.json").read_text()))[1]}


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_gone(pid: int) -> None:
    ends_at = time.monotonic() + 110
    while is_running(pid):
        assert time.monotonic() < ends_at
        time.sleep(0.01)


@FORK
def test_what_misbehaves_costs_itself_alone(start: Start, tmp_path: Path, fork: bool) -> None:
    with start() as interpreter:
        interpreter.run(
            BAD, "first = [1]",
            "raises = Bad('1 / 0'); leaves = Bad('raise SystemExit(3)'); hangs = Bad('while True: pass')",
            "prints = Bad('print(\"x\" * 100_000)'); warns = Bad('import warnings; warnings.warn(\"no\")')",
            "last = [first]",
        )  # fmt: skip
        if fork:
            interpreter.run("exits = Bad('os._exit(5)'); killed = Bad('os.kill(os.getpid(), signal.SIGKILL)')")
            interpreter.run("aborts = Bad('os.abort()'); interrupts = Bad('os.kill(os.getpid(), signal.SIGINT)')")
        manifest = interpreter.save(tmp_path / "saved", fork=fork, group_seconds=10)
        interpreter.run("assert first == [1]")
    expected = {
        "raises": "cannot be pickled: ZeroDivisionError: division by zero",
        "leaves": "cannot be pickled: SystemExit: 3",
        "hangs": "took longer than 10 s",
    }
    if fork:
        expected["exits"] = "ended the process that pickled it (status 5)"
        expected["killed"] = "ended the process that pickled it (SIGKILL), as happens where memory runs out"
        expected["aborts"] = "ended the process that pickled it (SIGABRT)"
    assert lost_of(tmp_path / "saved") == expected
    after = start()
    assert after.restore(tmp_path / "restored", tmp_path / "saved")["lost"]
    after.run("assert last == [first] and last[0] is first and Bad and prints.startswith('print')")
    assert manifest["lost_count"] == len(expected)


def test_interrupt_ends_a_save_in_place(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(BAD, "interrupts = Bad('os.kill(os.getpid(), signal.SIGINT); time.sleep(60)')")
        answer = interpreter.call("save", folder=str(tmp_path / "saved"), known=[], limits={}, fork=False)
        assert answer == {"interrupted": True}
        assert wait_end(tmp_path / "saved")["problem"] == "The save was interrupted."
        assert not (tmp_path / "saved" / "manifest.json").exists()
        assert interpreter.value("type(interrupts).__name__") == "Bad"


def test_time_of_the_whole_save_is_bounded(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("early = 1", BAD, "slow = Bad('time.sleep(600)'); late = 2")
        interpreter.save(tmp_path / "saved", total_seconds=10)
    over = "was not reached in the time that a save may take"
    lost = lost_of(tmp_path / "saved")
    assert (lost["slow"], lost["late"]) == (over, over)
    assert "early" not in lost


@FORK
def test_bytes_are_bounded(start: Start, tmp_path: Path, fork: bool) -> None:
    with start() as interpreter:
        interpreter.run(
            "import numpy as np", "large = np.zeros(2_000_000)", "texts = [str(i) * 10 for i in range(200_000)]",
            "one = np.random.rand(100_000); same = one; other = np.random.rand(100_000); small = 5",
            "half = np.random.rand(90_000).tolist(); pair = [half, np.random.rand(90_000).tolist()]; tied = [half]",
        )  # fmt: skip
        manifest = interpreter.save(tmp_path / "saved", fork=fork, group_bytes=1_500_000, total_bytes=3_000_000)
    lost = lost_of(tmp_path / "saved")
    too_large = "is larger than the 2 MB that are saved of one variable"
    assert (lost["large"], lost["texts"], lost["pair"]) == (too_large, too_large, too_large)
    assert lost["tied"] == "would make the save larger than 3 MB"
    assert lost.keys().isdisjoint({"one", "same", "other", "small", "half"})
    assert manifest["bytes"] < 3_000_000


@FORK
def test_full_disk_fails_the_save_and_nothing_else(start: Start, tmp_path: Path, fork: bool) -> None:
    with start() as interpreter:
        interpreter.run(
            "import resource, numpy as np; before = resource.getrlimit(resource.RLIMIT_FSIZE)",
            "a = np.random.rand(500_000)",
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))",
        )  # fmt: skip
        interpreter.call("save", folder=str(tmp_path / "full"), known=[], limits={}, fork=fork)
        progress = wait_end(tmp_path / "full")
        assert progress["problem"] == "The save cannot be written to the pod's disk: File too large."
        assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["progress.json"]
        interpreter.run("resource.setrlimit(resource.RLIMIT_FSIZE, before)")
        assert interpreter.save(tmp_path / "saved", fork=fork)["saved"] == 4


def test_save_is_cancelled_with_its_workers(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        pids = save_that_hangs(interpreter, tmp_path)
        assert interpreter.call("cancel", folder=str(tmp_path / "saved")) == {}
        for pid in pids:
            wait_gone(pid)
        assert interpreter.call("cancel", folder=str(tmp_path / "saved")) == {}
        interpreter.run("del hangs")
        assert interpreter.save(tmp_path / "other")["lost"] == []


def test_save_ends_with_its_interpreter(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        pids = save_that_hangs(interpreter, tmp_path)
    for pid in pids:
        wait_gone(pid)


def save_that_hangs(interpreter: Interpreter, folder: Path) -> list[int]:
    """Return the processes of a save, one of which hangs."""
    told = folder / "worker"
    interpreter.run(BAD, f"told = {str(told)!r}")
    interpreter.run("hangs = Bad('open(told, \"w\").write(str(os.getpid())); time.sleep(600)')")
    answer = interpreter.call("save", folder=str(folder / "saved"), known=[], limits={})
    ends_at = time.monotonic() + 110
    while not told.exists() or not told.read_text():
        assert time.monotonic() < ends_at
        time.sleep(0.01)
    return [answer["pid"], int(told.read_text())]


def test_children_are_no_zombies_and_no_children_of_the_notebook_s_wait(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        answer = interpreter.call("save", folder=str(tmp_path / "saved"), known=[], limits={})
        wait_gone(answer["pid"])
        wait_end(tmp_path / "saved")
        ends_at = time.monotonic() + 110
        while Path(f"/proc/{answer['pid']}").exists():
            assert time.monotonic() < ends_at
            time.sleep(0.01)


def test_ten_thousand_variables(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("for i in range(10_000): globals()[f'v{i}'] = [i, str(i)]")
        manifest = interpreter.save(tmp_path / "saved")
        assert (manifest["saved"], manifest["lost_count"]) == (10_001, 0)
        assert len(manifest["objects"]) < 100
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved")
    assert len(report["restored"]) == 10_001
    after.run("assert all(globals()[f'v{i}'] == [i, str(i)] for i in range(10_000))")


def test_what_a_save_needs_is_free_again(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(BAD, "exits = Bad('os._exit(1)')")
        interpreter.save(tmp_path / "first")
        before = interpreter.value("len(os.listdir('/proc/self/fd'))")
        interpreter.save(tmp_path / "second")
        assert interpreter.value("len(os.listdir('/proc/self/fd'))") == before


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="a system without it")
def test_system_that_runs_out_of_memory_ends_the_save_first(start: Start, tmp_path: Path) -> None:
    look = f"open({str(tmp_path / 'told')!r}, 'w').write(' '.join(open(f'/proc/{{pid}}/oom_score_adj').read().strip() "
    look += "for pid in (os.getpid(), os.getppid())))"
    with start() as interpreter:
        interpreter.run(BAD, f"looks = Bad({look!r})")
        interpreter.save(tmp_path / "saved")
        own = int(Path(f"/proc/{interpreter.pid}/oom_score_adj").read_text())
    worker, supervisor = map(int, (tmp_path / "told").read_text().split())
    assert worker > supervisor > own
