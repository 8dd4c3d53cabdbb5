"""Logs on disk are private and bounded, and say nothing of what a library puts into its texts."""

import json
import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.log_files import (
    MAX_AGE_SECONDS,
    MAX_BYTES,
    MAX_FILES,
    append,
    log_folder,
    log_to_file,
    remove_old,
)

log = logging.getLogger("tests.log_files")
LIBRARIES = ("httpx", "httpcore", "azure", "msal", "msal_extensions", "urllib3", "filelock", "asyncio")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A file that the root logger writes to."""
    root, before = logging.root, (list(logging.root.handlers), logging.root.level)
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    path = tmp_path / "of" / "mine" / "kernel-1.log"
    log_to_file(path, "kernel", "INFO", log)
    yield path
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.unix
def test_file_and_folder_are_for_their_owner(path: Path) -> None:
    log.info(LogEvent("started"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_levels_below_are_left_out(path: Path) -> None:
    log.debug(LogEvent("request"))
    log.info(LogEvent("started", version="1"))
    (line,) = lines(path)
    assert (line["event"], line["version"], line["pid"]) == ("started", "1", os.getpid())


def test_unexpected_error_is_its_place_without_its_text(path: Path) -> None:
    secret = f"the {'secret'}"
    try:
        raise KeyError(secret)
    except KeyError:
        log.exception(LogEvent("failed inside"))
    (line,) = lines(path)
    assert (line["error"], line["level"]) == ("KeyError", "error")
    assert "test_log_files.py" in line["trace"]
    assert secret not in path.read_text()


def test_record_of_a_library_is_its_words_without_values(path: Path) -> None:
    logging.getLogger("asyncio").error("Exception in callback f(%r)\nhandle: <Handle secret>", "secret")
    (line,) = lines(path)
    assert (line["logger"], line["text"]) == ("asyncio", "Exception in callback f")


def test_what_logs_addresses_is_not_heard(path: Path) -> None:
    logging.getLogger("httpx").error("HTTP Request: GET http://pool/?identifier=secret")
    log.info(LogEvent("started"))
    assert len(lines(path)) == 1


def test_file_that_was_removed_is_made_anew(path: Path) -> None:
    log.info(LogEvent("started"))
    path.unlink()
    log.info(LogEvent("stopped"))
    assert [line["event"] for line in lines(path)] == ["stopped"]


def test_disk_that_takes_nothing_costs_the_log_alone(
    path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder")
    log.info(LogEvent("started"))
    assert [record.msg for record in caplog.records] == [LogEvent("started")]
    assert capsys.readouterr().err == ""


@pytest.mark.unix
def test_folder_that_cannot_be_made_is_told(caplog: pytest.LogCaptureFixture) -> None:
    log_to_file(Path("/dev/null/logs/kernel-1.log"), "kernel", "INFO", log)
    assert "no log file folder=/dev/null/logs" in caplog.text


def test_long_file_becomes_the_older_of_two_for_every_writer(tmp_path: Path) -> None:
    path = tmp_path / "pool.log"
    with path.open("ab") as standard_error:
        for number in range(3):
            append(path, f"{number}" * MAX_BYTES)
        standard_error.write(b"last words\n")
    assert path.read_bytes()[:1] == b"2"
    assert path.read_bytes().endswith(b"last words\n")
    older = path.with_suffix(".log.1")
    assert older.read_bytes()[:1] == b"1"
    assert older.stat().st_size <= 2 * MAX_BYTES
    assert sys.platform == "win32" or stat.S_IMODE(older.stat().st_mode) == 0o600


def test_long_file_becomes_the_older_one_while_all_is_logged(path: Path) -> None:
    """On Windows, the lock that this takes logs what it does."""
    log_to_file(path, "kernel", "DEBUG", log)
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    log.debug(LogEvent("request"))
    assert path.with_suffix(".log.1").stat().st_size > MAX_BYTES
    assert [line["event"] for line in lines(path)] == ["request"]


def test_of_a_flood_on_standard_error_the_end_stays(tmp_path: Path) -> None:
    path = tmp_path / "pool.log"
    path.write_bytes(b"1" * 3 * MAX_BYTES + b"end\n")
    append(path, "on")
    older = path.with_suffix(".log.1").read_bytes()
    assert (older[-4:], len(older), path.read_bytes()) == (b"end\n", MAX_BYTES, b"on\n")


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("training.log", "results.logits.npy", "kernel-1.logits", "pool.log")]
    for path in [*others, tmp_path / "kernel-1.log", tmp_path / "kernel-1.log.1"]:
        path.touch()
    remove_old(tmp_path, 1e12)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_old_files_and_more_than_many_are_removed(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 3):
        path = tmp_path / f"kernel-{number}.log"
        path.touch()
        os.utime(path, (1_000_000 + number,) * 2)
    remove_old(tmp_path, 1_000_010)
    assert len(list(tmp_path.iterdir())) == MAX_FILES
    assert not (tmp_path / "kernel-2.log").exists()
    remove_old(tmp_path, 1_000_004 + MAX_AGE_SECONDS)
    assert not (tmp_path / "kernel-3.log").exists()
    assert (tmp_path / "kernel-4.log").exists()


@pytest.mark.parametrize(
    ("value", "folder"),
    [("", "/run/remote-kernel/logs"), ("~/logs", "~/logs"), pytest.param(" /a ", "/a", marks=pytest.mark.unix)],
)
def test_folder_is_where_the_user_wants_it(value: str, folder: str) -> None:
    assert log_folder({"REMOTE_KERNEL_LOG": value}, Path("/run")) == Path(folder).expanduser()


@pytest.mark.unix  # elsewhere every name may be somebody's
def test_folder_of_nobody_is_told() -> None:
    with pytest.raises(SettingsError, match="REMOTE_KERNEL_LOG is '~nobody-here/logs', and there is no such user"):
        log_folder({"REMOTE_KERNEL_LOG": "~nobody-here/logs"}, Path("/run"))
