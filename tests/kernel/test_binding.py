"""Bindings: the same for the same notebook, another one for anything else, and kept once made."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_kernel.client.link.following import Position
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.identity import Identifier, Scope, is_identifier
from remote_kernel.core.settings import Settings
from remote_kernel.io.system.file_locks import FileLock, is_held
from remote_kernel.kernel.identity.decision import decide
from remote_kernel.kernel.session.binding import MAX_AGE_SECONDS, Binding, BindingFile, after_restart
from remote_kernel.kernel.session.current_binding import CurrentBinding
from remote_kernel.kernel.session.releases import Releases

KEY = bytes(32)
NOTEBOOK = Path("/home/ada/a.ipynb")
ADA = {"REMOTE_KERNEL_USER": "ada"}


def bind(
    settings: Settings | None = None, environ: dict[str, str] | None = None, notebook: Path | None = NOTEBOOK
) -> Binding:
    return decide(settings or Settings(), environ or ADA, notebook=notebook, load_key=lambda: KEY)


def test_the_same_notebook_has_the_same_session() -> None:
    assert bind() == bind()
    assert bind().kernel == "main"
    assert not bind().is_private


def test_another_user_notebook_or_kernel_has_another_session() -> None:
    identifiers = {
        bind().identifier,
        bind(environ={"REMOTE_KERNEL_USER": "bob"}).identifier,
        bind(notebook=Path("/home/ada/b.ipynb")).identifier,
        bind(Settings(pod_kernel="ir")).identifier,
        bind(Settings(scope=Scope.PROJECT, project="p")).identifier,
        bind(Settings(scope=Scope.JOB), {**ADA, "REMOTE_KERNEL_JOB_ID": "p"}).identifier,
    }
    assert len(identifiers) == 6


def test_an_unknown_notebook_has_a_session_of_its_own() -> None:
    one, other = bind(notebook=None), bind(notebook=None)
    assert one.is_private
    assert one.identifier != other.identifier


def test_a_projects_notebooks_share_a_pod_with_a_kernel_each(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    settings = Settings(scope=Scope.PROJECT)
    one = bind(settings, notebook=tmp_path / "a.ipynb")
    other = bind(settings, notebook=tmp_path / "deep/er/b.ipynb")
    assert one.identifier == other.identifier
    assert one.kernel != other.kernel
    assert bind(replace(settings, project="named"), notebook=None).identifier != one.identifier


def test_a_project_of_which_nothing_is_known_is_an_error() -> None:
    with pytest.raises(SettingsError, match="set REMOTE_KERNEL_PROJECT"):
        bind(Settings(scope=Scope.PROJECT), notebook=None)


def test_a_jobs_notebooks_share_a_pod() -> None:
    settings, environ = Settings(scope=Scope.JOB), {**ADA, "SLURM_JOB_ID": "12"}
    one, other = bind(settings, environ), bind(settings, environ, notebook=None)
    assert one.identifier == other.identifier
    assert one.kernel != other.kernel


def test_a_literal_identifier_needs_neither_user_nor_key() -> None:
    def no_key() -> bytes:
        raise AssertionError("nobody asked for the key")

    settings = Settings(identifier=Identifier("mine-1"))
    assert decide(settings, {}, notebook=None, load_key=no_key).identifier == "mine-1"


def test_a_fresh_interpreter_is_one_of_its_own_in_the_same_pod() -> None:
    fresh = bind(Settings(is_fresh=True))
    assert fresh.identifier == bind().identifier
    assert fresh.kernel.startswith("run-")
    assert fresh.kernel != bind(Settings(is_fresh=True)).kernel


@pytest.fixture
def file(tmp_path: Path) -> BindingFile:
    return BindingFile(tmp_path, connection_file=tmp_path / "kernel-1.json", key=b"k")


def test_a_binding_is_remembered_with_its_position(file: BindingFile) -> None:
    binding = replace(bind(), epoch="e", restart=True, keep_until=5.0)
    file.save(binding)
    file.save_cursor(5)
    file.save_cursor(2**40)
    assert (file.load(), file.load_cursor()) == (binding, 2**40)
    file.remove()
    assert (file.load(), file.load_cursor()) == (None, 0)


def test_only_the_owner_can_read_what_is_remembered(tmp_path: Path, file: BindingFile) -> None:
    file.save(bind())
    file.save_cursor(1)
    path, cursor_path = (tmp_path / "remote-kernel" / "kernels").iterdir()
    assert {path.stat().st_mode & 0o777, cursor_path.stat().st_mode & 0o777} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_kernel_in_a_file_of_the_same_name_is_not_bound(tmp_path: Path, file: BindingFile) -> None:
    file.save(bind())
    assert BindingFile(tmp_path, connection_file=tmp_path / "kernel-1.json", key=b"other").load() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"identifier": "a b", "kernel": "m", "kernelspec": "s"}'])
def test_a_damaged_file_is_no_binding(tmp_path: Path, file: BindingFile, text: str) -> None:
    file.save(bind())
    (path,) = (tmp_path / "remote-kernel" / "kernels").glob("*.json")
    path.write_text(text)
    assert file.load() is None


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": 7}, {"epoch": "e" * 129}, {"epoch": "e\n"}, {"pod": "p\x1b"}, {"pod": 1}, {"keep_until": "1"},
        {"keep_until": -1}, {"keep_until": True}, {"untold": 5}, {"reader": []},
    ],
)  # fmt: skip
def test_a_file_with_what_no_pod_may_say_is_no_binding(
    tmp_path: Path, file: BindingFile, fields: dict[str, object]
) -> None:
    file.save(bind())
    (path,) = (tmp_path / "remote-kernel" / "kernels").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    assert file.load() is None


def test_a_position_that_no_journal_comes_to_is_none(tmp_path: Path, file: BindingFile) -> None:
    file.save_cursor(2**63 - 1)
    assert file.load_cursor() == 2**63 - 1
    (path,) = (tmp_path / "remote-kernel" / "kernels").glob("*.cursor")
    path.write_bytes(b"\xff" * 8)
    assert file.load_cursor() == 0


def test_what_nobody_came_back_for_is_removed(tmp_path: Path) -> None:
    program = f"""
import pathlib
from remote_kernel.kernel.session.binding import Binding, BindingFile
folder = pathlib.Path({str(tmp_path)!r})
file = BindingFile(folder, connection_file=folder / "kernel-gone.json", key=b"key")
file.save(Binding(identifier="gone", kernel="main", kernelspec="python3"))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    (path,) = (tmp_path / "remote-kernel" / "kernels").glob("*.json")
    now = path.stat().st_mtime
    file = BindingFile(tmp_path, connection_file=tmp_path / "kernel-1.json", key=b"key")
    file.remove_stale(now + 1)
    assert path.exists()
    file.remove_stale(now + MAX_AGE_SECONDS + 1)
    assert list(path.parent.iterdir()) == []


def test_binding_of_a_living_kernel_is_kept_however_old_it_is(tmp_path: Path, file: BindingFile) -> None:
    file.save(bind())
    now = time.time()
    for path in (tmp_path / "remote-kernel" / "kernels").iterdir():
        os.utime(path, (0, 0))
    other = BindingFile(tmp_path, connection_file=tmp_path / "kernel-2.json", key=b"key")
    other.remove_stale(now)
    assert file.load() is not None


def test_binding_whose_cursor_is_new_is_kept(tmp_path: Path, file: BindingFile) -> None:
    file.save(bind())
    (path,) = (tmp_path / "remote-kernel" / "kernels").glob("*.json")
    (cursor,) = path.parent.glob("*.cursor")
    os.utime(path, (0, 0))
    copies = [path.with_name(f"copy{old.suffix}") for old in (path, cursor)]  # which nobody has locked
    for old, copy in zip((path, cursor), copies, strict=True):
        shutil.copy2(old, copy)
    file.remove_stale(time.time())
    assert all(copy.exists() for copy in copies)


def test_kernel_that_somebody_looked_for_at_the_wrong_moment_counts_as_living_soon(
    tmp_path: Path, file: BindingFile
) -> None:
    file.save_cursor(1)
    (cursor,) = (tmp_path / "remote-kernel" / "kernels").glob("*.cursor")
    file.remove()
    cursor.touch()
    looking = FileLock(cursor)
    assert looking.try_acquire(is_look=True)
    file.save_cursor(2)
    looking.release()
    file.save_cursor(3)
    assert is_held(cursor)


def test_a_folder_that_cannot_be_written_does_not_fail_the_cell(tmp_path: Path) -> None:
    (tmp_path / "no-folder").touch()
    file = BindingFile(tmp_path / "no-folder", connection_file=tmp_path / "k", key=b"")
    file.save(bind())
    assert file.load() is None


def test_after_a_restart_any_interpreter_is_right() -> None:
    binding = after_restart(replace(bind(), epoch="e", restart=True))
    assert binding == bind()
    assert is_identifier(binding.identifier)


def test_a_living_kernel_is_told_from_one_that_has_gone(tmp_path: Path, file: BindingFile) -> None:
    file.save(bind())
    program = f"""
import pathlib, sys
from remote_kernel.kernel.session.known_sessions import known_sessions
print(*(session.is_alive for session in known_sessions(pathlib.Path({str(tmp_path)!r}))))
"""

    def ask() -> str:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert ask() == "True\n"
    file.remove()
    assert ask() == "\n"


class CountedFile(BindingFile):
    """A binding file that counts how often it is written."""

    written = 0

    def save(self, binding: Binding) -> None:
        self.written += 1
        super().save(binding)


def test_a_session_is_remembered_in_one_go_and_again_only_where_it_is_another(tmp_path: Path) -> None:
    file = CountedFile(tmp_path, connection_file=tmp_path / "kernel-1.json", key=b"k")
    current = CurrentBinding(file, Releases(tmp_path))
    current.remember(bind())

    def attach(epoch: str, pod: str) -> tuple[bool, int]:
        before = file.written
        is_surprise = current.note_attached(Position(epoch, 3), pod, cooldown_seconds=60.0)
        assert (file.load(), file.load_cursor()) == (current.now, 3)
        return is_surprise, file.written - before

    assert attach("e1", "p1") == (False, 1)
    assert attach("e1", "p1") == (False, 0)
    assert attach("e2", "p1") == (False, 1)
    assert attach("e2", "p2") == (True, 1)
    assert attach("e3", "p3") == (True, 1)
    assert (current.epoch, current.is_known) == ("e3", True)
    file.close()
