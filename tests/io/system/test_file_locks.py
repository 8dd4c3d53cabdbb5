"""Locks between processes."""

import subprocess
import sys
from pathlib import Path

from remote_kernel.io.system.file_locks import FileLock, hold, is_held, try_hold

HOLDER = """
import sys
from pathlib import Path
from remote_kernel.io.system.file_locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_somebody_s_until_its_process_ends_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    path.touch()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_held(path)
        with try_hold(path) as has_it:
            assert not has_it
        process.kill()
    assert not is_held(path)
    with try_hold(path) as has_it:
        assert has_it
        assert not FileLock(path).try_acquire()


def test_there_is_no_lock_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    assert not is_held(path)
    with try_hold(path) as has_it:
        assert not has_it
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_free_again_when_it_was_held(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with hold(path):
        assert is_held(path)
    assert not is_held(path)
