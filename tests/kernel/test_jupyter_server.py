"""Jupyter's own token goes to the server that started the kernel, and to nobody else."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from remote_kernel.kernel.identity import jupyter_server
from remote_kernel.kernel.identity.jupyter_server import find_address, find_server, sessions_of
from remote_kernel.kernel.identity.notebook_path import Hints, find_notebook
from tests.listening import Answer, listening

TOKEN = "the-token-of-jupyter"
SESSIONS = [{"path": "a.ipynb", "kernel": {"id": "k1"}}]
ANSWER: Answer = (200, {}, json.dumps(SESSIONS).encode())


def write_server_file(folder: Path, pid: int, url: str) -> Path:
    """Write the runtime file of a server."""
    path = folder / f"jpserver-{pid}.json"
    path.write_text(json.dumps({"url": url, "token": TOKEN, "root_dir": str(folder), "pid": pid}))
    path.chmod(0o600)
    return path


def find(folder: Path, parent: int) -> Path | None:
    return find_notebook(
        {}, Hints(), configured="", connection_file=folder / "kernel-k1.json", runtime_folder=folder, parent=parent
    )


def test_server_that_started_the_kernel_is_asked(tmp_path: Path) -> None:
    with listening(ANSWER) as server:
        write_server_file(tmp_path, os.getpid(), server.url)
        assert find(tmp_path, os.getpid()) == tmp_path / "a.ipynb"
    assert server.heard == [("/api/sessions", f"token {TOKEN}")]


def test_who_listens_on_the_port_of_a_dead_server_gets_no_token(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with listening(ANSWER) as stranger:
        write_server_file(tmp_path, dead.pid, stranger.url)
        assert find(tmp_path, dead.pid) is None
    assert stranger.heard == []


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell whose a socket is")
def test_parent_that_has_the_number_of_a_dead_server_is_none(tmp_path: Path) -> None:
    # Our parent is alive, and what listens on the port is not it.
    with listening(ANSWER) as stranger:
        write_server_file(tmp_path, os.getppid(), stranger.url)
        assert find(tmp_path, os.getppid()) is None
    assert stranger.heard == []


def test_token_follows_no_redirection(tmp_path: Path) -> None:
    with listening(ANSWER) as elsewhere, listening(ANSWER) as server:
        server.answer = (302, {"location": f"{elsewhere.url}api/sessions"}, b"")
        write_server_file(tmp_path, os.getpid(), server.url)
        assert find(tmp_path, os.getpid()) is None
    assert len(server.heard) == 1
    assert elsewhere.heard == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_somebody_else_can_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    with listening(ANSWER) as server:
        write_server_file(tmp_path, os.getpid(), server.url).chmod(mode)
        assert find(tmp_path, os.getpid()) is None
    assert server.heard == []


def test_file_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_server_file(tmp_path, os.getpid(), "http://127.0.0.1:1/")
    assert find_server(tmp_path, os.getpid()) is not None
    if os.getuid() == 0:
        os.chown(path, 12345, -1)
    else:  # only root can give a file away; being somebody else comes to the same
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert find_server(tmp_path, os.getpid()) is None


def test_link_instead_of_the_file_is_not_followed(tmp_path: Path) -> None:
    path = write_server_file(tmp_path, os.getpid(), "http://127.0.0.1:1/")
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert find_server(tmp_path, os.getpid()) is None


@pytest.mark.parametrize("kind", ["fifo", "folder", "endless", "of another process", "deep"])
def test_file_that_is_none_of_jupyters_is_passed_over(tmp_path: Path, kind: str) -> None:
    path = write_server_file(tmp_path, os.getpid(), "http://127.0.0.1:1/")
    match kind:
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "folder":
            path.unlink()
            path.mkdir()
        case "endless":
            path.write_text(" " * 100_000 + path.read_text())
        case "of another process":
            path.write_text(path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 1'))
        case "deep":
            path.write_text("[" * 50_000)
    assert find_server(tmp_path, os.getpid()) is None


@pytest.mark.parametrize(
    "answer",
    [(200, {}, b"[" * 50_000), (200, {}, b" " * 5_000_000 + b"[]"), (401, {}, json.dumps(SESSIONS).encode())],
    ids=["deep", "endless", "refused"],
)
def test_answer_that_is_none_of_jupyters_is_passed_over(
    tmp_path: Path, answer: tuple[int, dict[str, str], bytes]
) -> None:
    with listening(ANSWER) as server:
        server.answer = answer
        write_server_file(tmp_path, os.getpid(), server.url)
        assert find(tmp_path, os.getpid()) is None


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell whose a socket is")
@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_token_goes_to_the_socket_of_the_server_whatever_its_name_means(
    tmp_path: Path, host: str, address: str
) -> None:
    with listening(ANSWER, host) as server:
        write_server_file(tmp_path, os.getpid(), f"http://a-name-of-nobody.invalid:{server.server_port}/base/")
        assert find(tmp_path, os.getpid()) == tmp_path / "a.ipynb"
        assert find_address(os.getpid(), server.server_port, "") == address
    assert server.heard == [("/base/api/sessions", f"token {TOKEN}")]


@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="the system has no IPv6, or does not tell of it")
def test_socket_of_ipv6_is_found() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert find_address(os.getpid(), server.getsockname()[1], "") == "::1"


def test_where_the_system_does_not_tell_the_address_must_be_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jupyter_server, "_TABLES", ())
    assert find_address(1, 80, "127.0.0.1") == "127.0.0.1"
    assert find_address(1, 80, "192.0.2.1") is None  # for documentation (RFC 5737), so nobody's
    with listening(ANSWER) as server:
        write_server_file(tmp_path, os.getpid(), server.url)
        assert find(tmp_path, os.getpid()) == tmp_path / "a.ipynb"


@pytest.mark.parametrize("url", ["", "/", "http://", "ftp://127.0.0.1/", "http://127.0.0.1:port/", "http://[x/",
                                 "http+unix://%2Ftmp%2Fs/"])  # fmt: skip
def test_server_without_a_usable_address_has_no_sessions(tmp_path: Path, url: str) -> None:
    write_server_file(tmp_path, os.getpid(), url)
    server = find_server(tmp_path, os.getpid())
    assert server is not None
    assert sessions_of(server, os.getpid()) is None
