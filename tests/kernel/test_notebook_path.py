"""Whose notebook this is: every source, in its order, and never a guess."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from remote_kernel.core.errors import UsageError
from remote_kernel.kernel.identity.notebook_path import Hints, assignments, canonical, find_notebook, path_of_cell

CELL = "vscode-notebook-cell:/home/ada/my%20notes.ipynb#W0sZmlsZQ%3D%3D"


def find(
    environ: dict[str, str],
    hints: Hints | None = None,
    *,
    configured: str = "",
    runtime: Path = Path("/nowhere"),
    connection: str = "kernel-k1.json",
) -> str | None:
    found = find_notebook(
        environ,
        hints or Hints(),
        configured=configured,
        connection_file=runtime / connection,
        runtime_folder=runtime,
        parent=os.getpid(),  # the server of these tests is a thread of this process
    )
    return None if found is None else str(found)


def test_the_setting_comes_before_everything(tmp_path: Path) -> None:
    environ = {"JPY_SESSION_NAME": "/j/b.ipynb"}
    assert find(environ, Hints(vscode="/v/c.ipynb"), configured=f"{tmp_path}/a.ipynb") == f"{tmp_path}/a.ipynb"


def test_jupyter_comes_before_vscode_and_papermill(tmp_path: Path) -> None:
    papermill = tmp_path / "d.ipynb"
    papermill.touch()
    assert find({"JPY_SESSION_NAME": "/j/b.ipynb"}, Hints(vscode="/v/c.ipynb")) == "/j/b.ipynb"
    assert find({}, Hints(vscode="/v/c.ipynb", papermill=str(papermill))) == "/v/c.ipynb"
    assert find({}, Hints(papermill=str(papermill))) == str(papermill)


def test_a_notebook_that_vscode_has_never_saved_has_no_path() -> None:
    assert find({}, Hints(vscode="Untitled-1.ipynb")) is None


def test_a_relative_path_of_papermill_is_one_in_the_folder_it_was_typed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.ipynb").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # papermill --cwd elsewhere
    assert find({"PWD": str(tmp_path)}, Hints(papermill="a.ipynb")) == str(tmp_path / "a.ipynb")
    assert find({"PWD": str(elsewhere)}, Hints(papermill="a.ipynb")) is None
    assert find({}, Hints(papermill="s3://bucket/a.ipynb")) is None


@pytest.mark.parametrize("name", ["", "b.ipynb", "/j/console-1", "/j/RTC:b.ipynb", "RTC:b.ipynb", "/j/b.py"])
def test_a_session_name_that_is_no_path_of_a_notebook_is_passed_over(name: str) -> None:
    assert find({"JPY_SESSION_NAME": name}) is None


def test_a_file_whose_name_looks_like_a_drive_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "RTC:b.ipynb"
    path.touch()
    assert find({"JPY_SESSION_NAME": str(path)}) == str(path)


def test_one_file_has_one_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "ünï côdé" / "a.ipynb"
    real.parent.mkdir()
    real.touch()
    (tmp_path / "link").symlink_to(real.parent)
    monkeypatch.chdir(real.parent)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [str(real), "a.ipynb", "./../ünï côdé/a.ipynb", str(tmp_path / "link/a.ipynb"), "~/link/a.ipynb"]
    assert {canonical(spelling) for spelling in spellings} == {real}


@pytest.mark.parametrize(
    ("cell_id", "path"),
    [
        (CELL, "/home/ada/my notes.ipynb"),
        ("vscode-notebook-cell://ssh-remote%2Bbox/home/ada/a.ipynb#W1", "/home/ada/a.ipynb"),
        ("vscode-notebook-cell:/home/ada/script.py#W1", ""),
        ("8f14e45f", ""),
        ("vscode-notebook-cell:Untitled-1.ipynb#W1", ""),
    ],
)
@pytest.mark.unix
def test_vscode_cell_ids_name_their_notebook(cell_id: str, path: str) -> None:
    assert path_of_cell(cell_id) == path


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('__vsc_ipynb_file__ = "/home/ada/a.ipynb"', [("__vsc_ipynb_file__", "/home/ada/a.ipynb")]),
        ("# Parameters\nPAPERMILL_INPUT_PATH = 'in.ipynb'\nx = 1", [("PAPERMILL_INPUT_PATH", "in.ipynb")]),
        ("__vsc_ipynb_file__ = path()", []),
        ("__vsc_ipynb_file__ = ", []),
        ("print('PAPERMILL_INPUT_PATH = 1')", []),
        ("__vsc_ipynb_file__ = 1", []),
    ],
)
def test_assignments_of_front_ends_are_read(code: str, expected: list[tuple[str, str]]) -> None:
    assert list(assignments(code)) == expected


@pytest.mark.unix
def test_hints_take_the_first_word() -> None:
    hints = Hints()
    hints.read(b"{}", b'{"code": "a = 1"}')
    hints.read(json.dumps({"cellId": CELL}).encode(), b'{"code": "b = 2"}')
    hints.read(b'{"cellId": "vscode-notebook-cell:/other.ipynb"}', b'{"code": "c"}')
    assert hints == Hints(vscode="/home/ada/my notes.ipynb")


@pytest.mark.parametrize(("metadata", "content"), [(b"{", b"{}"), (b"{}", b"[]"), (b'{"cellId": 5}', b'{"code": 5}')])
def test_hints_pass_over_what_is_no_request(metadata: bytes, content: bytes) -> None:
    hints = Hints()
    hints.read(metadata, content)
    assert hints == Hints()


class Sessions(BaseHTTPRequestHandler):
    """Answers `/api/sessions` as a Jupyter server does; with `later` from the second request on."""

    sessions: object = []
    later: object = None

    def do_GET(self) -> None:
        is_welcome = self.headers["authorization"] == "token tok" and self.path == "/base/api/sessions"
        self.send_response(200 if is_welcome else 403)
        self.end_headers()
        if is_welcome:
            self.wfile.write(json.dumps(type(self).sessions).encode())
            if type(self).later is not None:
                Sessions.sessions, Sessions.later = type(self).later, None

    def log_message(self, *_args: object) -> None:
        pass


def write_server_file(folder: Path, content: object) -> Path:
    """Write the runtime file of a server that is this process, as Jupyter does: for its user alone."""
    path = folder / f"jpserver-{os.getpid()}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    """A Jupyter runtime folder with the file of a running server."""
    with HTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/base/"
        fields = {"url": url, "token": "tok", "root_dir": str(tmp_path / "root")}
        write_server_file(tmp_path, fields)
        yield tmp_path
        server.shutdown()


def test_the_jupyter_server_is_asked(runtime: Path) -> None:
    Sessions.sessions = [
        {"path": "other.ipynb", "kernel": {"id": "k0"}},
        {"path": "sub/a.ipynb", "kernel": {"id": "k1"}},
    ]
    assert find({}, Hints(vscode="/v.ipynb"), runtime=runtime) == str(runtime / "root/sub/a.ipynb")


MYST_PAGE = {"path": "a.ipynb", "name": "a.ipynb", "type": "console", "kernel": {"id": "k1"}}


def test_a_page_of_myst_that_is_a_notebook_has_a_session_of_its_own(runtime: Path) -> None:
    Sessions.sessions = [MYST_PAGE]
    assert find({"JPY_SESSION_NAME": str(runtime / "root/a.ipynb")}, runtime=runtime) is None


def test_a_notebook_that_was_renamed_since_its_kernel_started_is_known_by_its_new_name(runtime: Path) -> None:
    Sessions.sessions = [{"path": "b.ipynb", "type": "notebook", "kernel": {"id": "k1"}}]
    assert find({"JPY_SESSION_NAME": str(runtime / "root/a.ipynb")}, runtime=runtime) == str(runtime / "root/b.ipynb")


def test_a_session_that_the_server_is_about_to_write_down_is_waited_for(runtime: Path) -> None:
    Sessions.sessions, Sessions.later = [], [MYST_PAGE]
    assert find({"JPY_SESSION_NAME": str(runtime / "root/a.ipynb")}, runtime=runtime) is None


def test_a_server_that_does_not_answer_leaves_it_at_what_it_has_told_the_kernel(runtime: Path) -> None:
    Sessions.sessions = {"message": "busy"}
    assert find({"JPY_SESSION_NAME": "/j/b.ipynb"}, runtime=runtime) == "/j/b.ipynb"


@pytest.mark.parametrize(
    "sessions",
    [
        [],
        {},
        None,
        ["x"],
        [{"path": "RTC:a.ipynb", "kernel": {"id": "k1"}}],
        [{"path": "console", "kernel": {"id": "k1"}}],
        [{"path": 1, "kernel": {"id": "k1"}}],
        [{"path": "a.ipynb", "kernel": None}],
    ],
)
def test_a_server_that_does_not_know_is_no_reason_to_fail(runtime: Path, sessions: object) -> None:
    Sessions.sessions = sessions
    assert find({}, runtime=runtime) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": "http://127.0.0.1:9/", "token": "", "root_dir": "/"}'])
def test_a_server_file_of_no_use_is_passed_over(tmp_path: Path, text: str) -> None:
    write_server_file(tmp_path, text)
    assert find({}, runtime=tmp_path) is None


@pytest.mark.parametrize("value", ["{[]: 1}", "[" * 10_000 + "]" * 10_000, "1 +", "int()"])
def test_what_is_no_constant_tells_nothing(value: str) -> None:
    assert list(assignments(f"PAPERMILL_INPUT_PATH = {value}")) == []


def test_a_cell_id_that_is_no_address_tells_nothing() -> None:
    assert path_of_cell("vscode-notebook-cell://[x/a.ipynb") == ""


def test_a_home_of_nobody_is_told() -> None:
    with pytest.raises(UsageError, match=r"there is no user for '~' in '~nobody-here/a.ipynb'"):
        canonical("~nobody-here/a.ipynb")


def test_a_current_folder_that_was_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    assert canonical("/a.ipynb") == Path("/a.ipynb")
    with pytest.raises(UsageError, match="the current folder is not there any more"):
        canonical("a.ipynb")
