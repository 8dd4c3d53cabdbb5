"""Result files are written whole or not at all, wherever a user wants them, and no finished run is lost."""

import json
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remote_kernel.cli.run.result_files import check_writable, rescue, write_whole
from remote_kernel.core.errors import NotWritten, UsageError
from tests.cli.command import COMMAND, run_command, write_notebook


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let the system refuse to make a file larger than `limit`, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("old")
    with small_files(1_000), pytest.raises(NotWritten, match=r"cannot write .*n\.ipynb: file too large"):
        write_whole(path, "x" * 2_000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def test_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_whole(tmp_path / "n.ipynb", "new")
    assert (tmp_path / "n.ipynb").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.ipynb").write_text("old")
    (tmp_path / "link.ipynb").symlink_to("real.ipynb")
    write_whole(tmp_path / "link.ipynb", "new")
    assert (tmp_path / "link.ipynb").is_symlink()
    assert (tmp_path / "real.ipynb").read_text() == "new"


def test_half_of_a_surrogate_pair_is_written_in_json_s_own_notation(tmp_path: Path) -> None:
    write_whole(tmp_path / "n.json", '"\ud800"', errors="backslashreplace")
    assert json.loads((tmp_path / "n.json").read_text()) == "\ud800"


def test_device_is_written_to_and_stays_one(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_text("")
    except PermissionError:
        pytest.skip("only root can make a device, and not in every container")
    check_writable(device)
    write_whole(device, "gone")
    assert stat.S_ISCHR(device.stat().st_mode)


def test_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        while True:
            try:
                write_whole(pipe, "the result")
                break
            except NotWritten:  # until cat has opened it
                assert reader.poll() is None
        assert reader.communicate()[0] == "the result"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_pipe_that_nobody_reads_is_no_wait_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotWritten, match=r"cannot write .*/pipe: nobody reads this pipe"):
        write_whole(tmp_path / "pipe", "x")


def test_file_that_is_mounted_by_itself_is_written_in_place(tmp_path: Path) -> None:
    mounted, outside = tmp_path / "mounted", tmp_path / "outside"
    mounted.write_text("old"), outside.write_text("old")
    script = f'mount --bind {outside} {mounted} && exec {COMMAND[0]} -c "$0" {mounted}'
    code = "import sys, pathlib; from remote_kernel.cli.run.result_files import *; p = pathlib.Path(sys.argv[1]);"
    code += "check_writable(p); write_whole(p, 'new')"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, code], capture_output=True, text=True)
    if done.returncode and "remote_kernel" not in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (outside.read_text(), mounted.read_text()) == ("new", "old")


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_write_protected_file_is_refused_before_the_run(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("old")
    path.chmod(mode)
    with pytest.raises(UsageError, match="it is write-protected"):
        check_writable(path)


def test_rescued_result_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "n.rescued.html").write_text("of yesterday")
    rescued = rescue(tmp_path / "gone" / "report.html", "of today", tmp_path / "n.ipynb")
    assert rescued is not None
    assert rescued.parent == tmp_path
    assert rescued.read_text() == "of today"
    assert (tmp_path / "n.rescued.html").read_text() == "of yesterday"


@pytest.mark.parametrize("target", ["/dev/full", "/dev/null", "pipe"])
def test_what_a_device_or_a_pipe_does_not_take_is_rescued_beside_the_notebook(tmp_path: Path, target: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    os.mkfifo(other / "pipe")
    rescued = rescue(other / target, "precious", tmp_path / "n.ipynb")
    assert rescued == tmp_path / "n.rescued.ipynb"
    assert rescued.read_text() == "precious"


def test_a_folder_that_takes_no_such_name_is_not_the_last_one_to_be_tried(tmp_path: Path) -> None:
    # Where no file can be made none can be removed: neither with a name that is too long nor on a disk that takes none.
    ending = "x" * 300
    assert rescue(tmp_path / f"report.{ending}", "precious", tmp_path / "n.ipynb") is None


def test_result_of_a_notebook_with_a_long_name_is_rescued(tmp_path: Path) -> None:
    rescued = rescue(tmp_path / "gone" / "out.ipynb", "precious", tmp_path / f"{'ä' * 123}.ipynb")
    assert rescued is not None
    assert (rescued.parent, rescued.read_text()) == (tmp_path, "precious")


@pytest.mark.parametrize("option", ["-o", "--junit"])
def test_result_goes_to_standard_output_and_nothing_else_does(tmp_path: Path, option: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('said')")
    command = [*COMMAND, "run", str(notebook), "--kernel", "python3", option, "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    beginning = {"-o": "{", "--junit": "<?xml"}[option]
    assert done.stdout.startswith(beginning)
    assert "1 cell in" in done.stderr
    if option == "-o":
        assert json.loads(done.stdout)["cells"][0]["outputs"][0]["text"] == ["said\n"]


@pytest.mark.parametrize(
    ("options", "closing", "named"),
    [
        ("-o /dev/stdout", ">&-", "/dev/stdout"),
        ("--junit /dev/fd/1", ">&-", "/dev/fd/1"),
        ("--html /proc/self/fd/77", "", "/proc/self/fd/77"),
        ("-o link", ">&-", "link"),
    ],
)
def test_result_goes_to_no_stream_that_is_closed(tmp_path: Path, options: str, closing: str, named: str) -> None:
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "other").symlink_to("/dev/stdout")
    write_notebook(tmp_path / "n.ipynb", "open('ran', 'w')")
    command = ["sh", "-c", f'exec "$@" run n.ipynb --kernel python3 {options} {closing}', "sh", *COMMAND]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"remote-kernel: cannot write {named}: it is closed\n")
    assert not (tmp_path / "ran").exists()


def test_result_goes_to_nowhere_with_standard_output_closed(tmp_path: Path) -> None:
    write_notebook(tmp_path / "n.ipynb", "1")
    command = ["sh", "-c", 'exec "$@" run n.ipynb --kernel python3 -o /dev/null >&-', "sh", *COMMAND]
    assert subprocess.run(command, capture_output=True, check=False, cwd=tmp_path).returncode == 0


def test_result_that_cannot_be_written_after_the_run_is_found_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    source = f"import shutil; shutil.rmtree({str(folder)!r}); print('precious')"
    notebook = write_notebook(tmp_path / "n.ipynb", source)
    done = run_command("run", notebook, "--kernel", "python3", "-o", folder / "out.ipynb", "--junit", folder / "j.xml")
    assert done.status == 1
    assert f"the result is in {tmp_path / 'n.rescued.ipynb'} instead" in done.stderr
    assert "precious" in (tmp_path / "n.rescued.ipynb").read_text()
    assert f"; it is in {tmp_path / 'n.rescued.xml'} instead" in done.stderr
