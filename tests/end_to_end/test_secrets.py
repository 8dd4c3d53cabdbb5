"""What must not be written down: identifiers, tokens, code and the environment's values, at any level of logging."""

import base64
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from remote_kernel.core.text.log_lines import LogLine
from tests.driver import Notebook, Pool
from tests.faults.proxy import FaultProxy


def test_no_log_holds_a_secret_whatever_goes_wrong(
    tmp_path: Path, private_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = {name: f"{name}-{secrets.token_hex(8)}" for name in ("identifier", "code", "environment", "output")}
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    monkeypatch.setenv("REMOTE_KERNEL_LOG_LEVEL", "debug")
    monkeypatch.setenv("A_SECRET_OF_MINE", marks["environment"])
    monkeypatch.setenv("REMOTE_KERNEL_IDENTITY_KEY", key)
    pool_log, kernel_log = tmp_path / "pool.log", tmp_path / "kernel.log"
    with (
        pool_log.open("wb") as pool_stderr,
        kernel_log.open("wb") as kernel_stderr,
        Pool.start("--max-sessions", "1", stderr=pool_stderr) as pool,
        FaultProxy.before(pool.endpoint) as proxy,
    ):
        environ = {
            "REMOTE_KERNEL_ENDPOINT": proxy.endpoint,
            "REMOTE_KERNEL_TOKEN": pool.token,
            "REMOTE_KERNEL_IDENTIFIER": marks["identifier"],
            "REMOTE_KERNEL_FORWARD_ENV": "A_SECRET_OF_MINE",
        }
        notebook = Notebook.start(environ=environ, stderr=kernel_stderr)
        other = Notebook.start(
            environ={**environ, "REMOTE_KERNEL_IDENTIFIER": "", "REMOTE_KERNEL_WAIT_SECONDS": "0"},
            stderr=kernel_stderr,
        )
        try:
            secret_code = f"x = '{marks['code']}'"
            notebook.run(f"{secret_code}; print('{marks['output']}')")
            notebook.run(f"{secret_code}; 1 / 0")
            asked = notebook.run("import os; print(os.environ['A_SECRET_OF_MINE'])")
            assert asked.stdout == f"{marks['environment']}\n"
            assert other.run(secret_code).reply["ename"] == "PoolFull"
            proxy.cut()
            notebook.run(secret_code)
            with pool.client() as client:
                client.get("/api/v2/session", params={"identifier": f"{marks['identifier']} no"})
                client.post("/api/v2/messages", params={"identifier": marks["identifier"]}, content=b"garbage")
                client.get("/nowhere", params={"identifier": marks["identifier"]})
                client.get("/nowhere", headers={"authorization": f"Bearer {marks['identifier']}"})
            notebook.run("import os; os._exit(1)")
            proxy.refuse(True)
            msg_id = notebook.client.execute(secret_code)
            notebook.wait_iopub(lambda message: "waiting for the session" in str(message["content"]))
            proxy.refuse(False)
            assert notebook.reply_to(msg_id)["status"] == "ok"
        finally:
            notebook.close()
            other.close()
    files = list((private_folders / "runtime" / "remote-kernel" / "logs").iterdir())
    logs = "".join(path.read_text() for path in (pool_log, kernel_log, *files))
    lines = [LogLine.from_json(line) for path in files for line in path.read_text().splitlines()]
    names = {line.event.name for line in lines if line is not None}
    assert None not in lines, "every line is one of ours"
    assert names >= {"pod ready", "pool full", "pod gone", "bound", "request", "connection lost", "attached", "failed"}
    assert {"pod ready", "interpreter died"} <= set(re.findall(r"pod ready|interpreter died", pool_log.read_text()))
    for secret in (*marks.values(), pool.token, key):
        assert secret not in logs
    assert not re.search(r"identifier=|nb-[0-9a-f]{8}|[Bb]earer ", logs)


def test_the_local_pool_writes_private_files_only(private_folders: Path) -> None:
    environ = {**os.environ, "REMOTE_KERNEL_LOG_LEVEL": "debug"}
    notebook = Notebook.start(environ=environ)
    try:
        assert notebook.run("6 * 7").result == "42"
        folders = [private_folders / "runtime" / "remote-kernel", private_folders / "data" / "remote-kernel"]
        for folder in folders:
            assert folder.stat().st_mode & 0o777 == 0o700
            files = [path for path in folder.rglob("*") if path.is_file()]
            assert files
            assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    finally:
        notebook.close()
        subprocess.run(
            [sys.executable, "-m", "remote_kernel.cli", "pool", "stop"], check=True, stdout=subprocess.DEVNULL
        )
