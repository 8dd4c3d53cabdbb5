"""Which sessions of ended kernels are of no use to anybody, and what is said of the others."""

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_kernel.core.identity import Identifier
from remote_kernel.kernel.session.binding import Binding, BindingFile
from remote_kernel.kernel.session.known_sessions import KnownSession
from remote_kernel.kernel.session.leftovers import can_reclaim, collect, describe_users
from remote_kernel.kernel.session.releases import Releases
from tests.kernel.taken_releases import take_all

PRIVATE = Binding(
    identifier=Identifier("nb-private"), kernel="main", kernelspec="python3", is_private=True, host="here"
)
OF_NOTEBOOK = replace(PRIVATE, is_private=False, notebook="/n.ipynb")


@pytest.mark.parametrize(
    ("binding", "can_come_back", "expected"),
    [
        (PRIVATE, False, True),
        (replace(OF_NOTEBOOK, kernel="run-1"), False, True),
        (replace(OF_NOTEBOOK, kernel="a-name-at-random", notebook=""), False, True),
        # Somebody can come back to it.
        (OF_NOTEBOOK, False, False),
        (replace(OF_NOTEBOOK, notebook=""), False, False),  # a pinned identifier
        (replace(OF_NOTEBOOK, kernel="of-the-notebook"), False, False),
        (PRIVATE, True, False),
        # Another machine's, or another pool's.
        (replace(PRIVATE, host="there"), False, False),
        (replace(PRIVATE, endpoint="https://another"), False, False),
    ],
)
def test_what_can_be_reclaimed(binding: Binding, can_come_back: bool, expected: bool) -> None:
    assert can_reclaim(binding, can_come_back=can_come_back, endpoint="", host="here") is expected


class Left:
    """A private kernel's files, and its connection file."""

    def __init__(self, folder: Path, *, parent: int, host: str = "") -> None:
        self.runtime = folder
        self.connection_file = folder / "kernel-1.json"
        self.connection_file.write_text(json.dumps({"key": "secret"}))
        self.file = BindingFile(folder, connection_file=self.connection_file, key=b"secret")
        self.releases = Releases(folder)
        self.binding = replace(
            PRIVATE,
            connection_file=str(self.connection_file),
            parent=parent,
            host=host or socket.gethostname(),
            epoch="e1",
            reader="r1",
        )
        self.file.save(self.binding)

    def collect(self, *, only_recent: bool = True) -> list[str]:
        """Return the readers whose sessions are to be given back."""
        collect(self.runtime, self.releases, endpoint="", only_recent=only_recent)
        return [release.reader for release in take_all(self.releases, "", time.time())]


def ended_process() -> int:
    process = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(process, 0)
    return process


def test_private_session_is_collected_once_its_process_is_gone_and_no_other_can_follow(tmp_path: Path) -> None:
    left = Left(tmp_path, parent=os.getpid())
    assert left.collect() == []  # it lives
    left.file.close()
    assert left.collect() == []  # its parent may start it again
    left.connection_file.unlink()
    assert left.collect() == ["r1"]
    assert left.collect() == []
    assert not left.file.path.exists()


def test_connection_file_of_another_kernel_or_without_a_parent_brings_nobody_back(tmp_path: Path) -> None:
    left = Left(tmp_path, parent=os.getpid())
    left.file.close()
    left.connection_file.write_text(json.dumps({"key": "another"}))
    assert left.collect() == ["r1"]
    left = Left(tmp_path, parent=ended_process())
    left.file.close()
    assert left.collect() == ["r1"]


@pytest.mark.parametrize("content", ["not JSON", "[" * 100_000, "{}"])
def test_what_cannot_be_read_is_left_alone(tmp_path: Path, content: str) -> None:
    left = Left(tmp_path, parent=os.getpid())
    left.file.close()
    left.connection_file.write_text(content)
    assert left.collect() == []
    left.connection_file.unlink()
    left.file.path.with_suffix(".cursor").unlink()
    assert left.collect() == []


@pytest.mark.unix
def test_nobody_waits_for_a_pipe_that_a_binding_names(tmp_path: Path) -> None:
    left = Left(tmp_path, parent=os.getpid())
    left.file.close()
    left.connection_file.unlink()
    os.mkfifo(left.connection_file)
    assert left.collect() == []


def test_long_gone_session_is_asked_for_only_where_that_cannot_take_a_new_one(tmp_path: Path) -> None:
    left = Left(tmp_path, parent=os.getpid())
    left.file.close()
    left.connection_file.unlink()
    hour_ago = time.time() - 3600
    for path in (left.file.path, left.file.path.with_suffix(".cursor")):
        os.utime(path, (hour_ago, hour_ago))
    assert left.collect() == []
    assert left.collect(only_recent=False) == ["r1"]


def known(name: str, notebook: str, seconds: float, *, is_alive: bool = True, endpoint: str = "") -> KnownSession:
    return KnownSession(
        identifier=Identifier(name), notebook=notebook, endpoint=endpoint, is_alive=is_alive, heard_at=10_000 - seconds,
        files=(),
    )  # fmt: skip


def test_line_names_the_notebooks_that_are_idle_longest() -> None:
    sessions = [
        known("a", "/home/me/a.ipynb", 5.0),
        known("own", "/home/me/own.ipynb", 9_000.0),
        known("b", "/home/me/b\x1b]0;x\x07.ipynb", 7_200.0),
        known("c", "", 60.0),
        known("d", "/home/me/elsewhere.ipynb", 9_000.0, endpoint="https://another"),
        known("e", "/home/me/yesterday.ipynb", 9_000.0, is_alive=False),
    ]
    text = describe_users(sessions, endpoint="", own="own", now=10_000.0)
    assert text.startswith("Yours: b")
    assert text.endswith(
        "a notebook without a path, idle for 1 min; 1 more ('remote-kernel sessions' lists and stops them)."
    )
    assert text.isprintable()
    assert not any(word in text for word in ("own", "elsewhere", "yesterday"))
    assert describe_users(sessions[1:2], endpoint="", own="own", now=10_000.0) == ""
