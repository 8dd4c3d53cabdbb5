"""`remote-kernel pool status` and `remote-kernel pool stop`, with a real pool."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from remote_kernel import __version__
from remote_kernel.cli import main
from tests.cli.command import COMMAND
from tests.driver import Pool


@pytest.mark.parametrize("command", ["status", "stop"])
def test_without_a_pool_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pool", command]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("No local pool of this environment is running.")


def test_status_shows_sessions_and_neither_identifier_nor_token(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start("--max-sessions", "1", "--cooldown", "100") as pool:
        with pool.client() as client:
            client.get("/health", params={"identifier": "my-identifier"}).raise_for_status()
        (session,) = pool.sessions()
        assert main(["pool", "status"]) == 0
        first, environment, header, row = capsys.readouterr().out.splitlines()
    assert first == f"Session pool at {pool.endpoint}, process {pool.process.pid}: 1 of 1 sessions, 0 ready."
    assert environment == f"Environment: {sys.executable}, version {__version__}."
    assert header.split() == ["SESSION", "POD", "PROCESS", "CALLS", "IDLE", "EXPIRES", "IN"]
    assert row.split()[:3] == [session["label"], str(session["pid"]), "1"]
    assert not {"my-identifier", pool.token} & set((first + header + row).split())


def test_status_as_json_has_endpoint_and_token(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start() as pool:
        assert main(["pool", "status", "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
    assert (status["endpoint"], status["token"], status["pid"]) == (pool.endpoint, pool.token, pool.process.pid)
    assert (status["python"], status["version"]) == (sys.executable, __version__)
    assert (status["sessions"], status["others"]) == ([], [])


def test_stop_ends_the_pool(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start() as pool:
        assert main(["pool", "stop"]) == 0
        assert pool.process.wait(10) == 0
    assert capsys.readouterr().out == "The local pool has stopped.\n"


def test_open_prints_a_link_that_works_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROWSER", "true")  # the command that does nothing
    with Pool.start() as pool:
        assert main(["pool", "status", "--open"]) == 0
        link = capsys.readouterr().out.splitlines()[-1]
        assert link.startswith(f"{pool.endpoint}/")
        assert pool.token not in link
        assert [httpx.get(link).status_code for _ in range(2)] == [200, 403]


def test_open_leads_the_browser_there_by_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path / "url"}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    with Pool.start():
        command = [*COMMAND, "pool", "status", "--open", "--json"]
        link = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["page"]
        file = Path((tmp_path / "url").read_text().removeprefix("file://"))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert f"url={link}" in file.read_text()
        assert httpx.get(link).status_code == 200


@pytest.mark.skipif(sys.platform == "darwin", reason="there is always one")
def test_nothing_is_opened_where_there_is_no_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with Pool.start():
        assert main(["pool", "status", "--open"]) == 0
    assert "works once" in capsys.readouterr().out
    assert not list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).rglob("*.html"))
