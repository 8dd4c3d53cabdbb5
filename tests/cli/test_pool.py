"""`remote-kernel pool status` and `remote-kernel pool stop`, with a real pool."""

import json

import pytest

from remote_kernel.cli import main
from tests.driver import Pool


@pytest.mark.parametrize("command", ["status", "stop"])
def test_without_a_pool_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pool", command]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("No local pool of yours is running.")


def test_status_shows_sessions_and_neither_identifier_nor_token(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start("--max-sessions", "1", "--cooldown", "100") as pool:
        with pool.client() as client:
            client.get("/health", params={"identifier": "my-identifier"}).raise_for_status()
        (session,) = pool.sessions()
        assert main(["pool", "status"]) == 0
        first, header, row = capsys.readouterr().out.splitlines()
    assert first == f"Session pool at {pool.endpoint}, process {pool.process.pid}: 1 of 1 sessions, 0 ready."
    assert header.split() == ["SESSION", "POD", "PROCESS", "CALLS", "IDLE", "EXPIRES", "IN"]
    assert row.split()[:3] == [session["label"], str(session["pid"]), "1"]
    assert not {"my-identifier", pool.token} & set((first + header + row).split())


def test_status_as_json_has_endpoint_and_token(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start("--ready", "0") as pool:
        assert main(["pool", "status", "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
    assert (status["endpoint"], status["token"], status["pid"]) == (pool.endpoint, pool.token, pool.process.pid)
    assert status["sessions"] == []


def test_stop_ends_the_pool(capsys: pytest.CaptureFixture[str]) -> None:
    with Pool.start("--ready", "0") as pool:
        assert main(["pool", "stop"]) == 0
        assert pool.process.wait(10) == 0
    assert capsys.readouterr().out == "The local pool has stopped.\n"
