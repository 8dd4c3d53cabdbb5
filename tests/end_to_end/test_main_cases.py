"""The cases that this project exists for, against a real pool on loopback."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.driver import Notebook, Pool, run_in_pod, stdout_of, wait_until

WHICH_POD = "import os; print(os.environ['REMOTE_KERNEL_POD'])"


def which_pod(client: httpx.Client, **params: str) -> str:
    return stdout_of(run_in_pod(client, WHICH_POD, **params))


def try_execute(client: httpx.Client, identifier: str) -> int:
    return client.post("/api/v2/execute", params={"identifier": identifier}, json={"code": "1"}).status_code


def test_the_mistake_a_random_identifier_per_request_hits_the_ceiling() -> None:
    with Pool.start() as pool, pool.client() as client:
        statuses = [try_execute(client, f"random-{number}") for number in range(6)]
    assert statuses == [200] * 5 + [429]


def test_the_fix_one_identifier_for_all_requests_is_one_pod(pool: Pool) -> None:
    with pool.client() as client:
        pods = {which_pod(client, identifier="one-and-the-same") for _ in range(8)}
    assert len(pods) == 1


def test_the_second_request_finds_the_same_pod_and_its_variables_sooner() -> None:
    with Pool.start() as pool, pool.client() as client:
        seconds = []
        for code in ("a = 41", "print(a + 1)"):
            started = time.monotonic()
            messages = run_in_pod(client, code, identifier="test-session-1")
            seconds.append(time.monotonic() - started)
    assert stdout_of(messages) == "42\n"
    assert seconds[1] < seconds[0]


def test_the_same_by_curl(pool: Pool, tmp_path: Path) -> None:
    url = f"{pool.endpoint}/api/v2/execute?identifier=test-session-2"
    headers = tmp_path / "headers"
    headers.write_text(f"Authorization: Bearer {pool.token}\nContent-Type: application/json\n")
    outputs = [
        subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-H", f"@{headers}", "-d", f'{{"code": "{code}"}}', url],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for code in ("x = 6 * 7", "print(x)")
    ]  # fmt: skip
    assert '"text": "42\\n"' in outputs[1]
    assert all('"msg_type": "execute_reply"' in output.splitlines()[-1] for output in outputs)


@pytest.mark.slow
def test_a_sixth_identifier_gets_in_once_one_of_five_has_cooled_down() -> None:
    with Pool.start("--cooldown", "4", "--ready", "5") as pool, pool.client() as client:

        def five_are_in_and_the_sixth_is_not() -> bool:
            # On a slow machine the first may have cooled down before the fifth was in: then once more.
            return all(try_execute(client, name) == 200 for name in "abcde") and try_execute(client, "f") == 429

        wait_until(lambda: client.get("/.local/status").json()["ready"] == 5)
        wait_until(five_are_in_and_the_sixth_is_not)
        wait_until(lambda: try_execute(client, "f") == 200)
        assert len(pool.sessions()) <= 5


def test_the_refusal_says_when_to_come_back_and_disturbs_nobody() -> None:
    with Pool.start("--max-sessions", "1") as pool, pool.client() as client:
        assert try_execute(client, "a") == 200
        refused = client.post("/api/v2/execute", params={"identifier": "b"}, json={"code": "1"})
        assert try_execute(client, "a") == 200
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 300
    assert refused.json()["error"]["code"] == refused.headers["x-ms-error-code"]


def test_a_request_header_names_the_session_and_without_one_there_is_a_default(pool: Pool) -> None:
    with pool.client() as client:
        client.headers["X-Session-ID"] = "by-header"
        assert len({which_pod(client), which_pod(client), which_pod(client, identifier="by-header")}) == 1
        del client.headers["X-Session-ID"]
        assert which_pod(client) == which_pod(client, identifier="default-session")


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_KERNEL_NOTEBOOK": "/home/ada/a.ipynb"},
        {"REMOTE_KERNEL_NOTEBOOK": "/home/ada/a.ipynb", "REMOTE_KERNEL_SCOPE": "project", "REMOTE_KERNEL_PROJECT": "p"},
        {"REMOTE_KERNEL_SCOPE": "job", "REMOTE_KERNEL_JOB_ID": "job-7"},
        {"REMOTE_KERNEL_IDENTIFIER": "literal-identifier"},
    ],
    ids=["notebook", "project", "job", "literal"],
)
def test_kernels_of_one_scope_share_one_pod(pool: Pool, environ: dict[str, str]) -> None:
    settings = {"REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_TOKEN": pool.token, **environ}
    notebooks = [Notebook.start(environ=settings) for _ in range(2)]
    try:
        assert len({notebook.run(WHICH_POD).stdout for notebook in notebooks}) == 1
    finally:
        for notebook in notebooks:
            notebook.close()


def test_a_project_s_notebooks_share_a_pod_but_no_variables(pool: Pool) -> None:
    settings = {
        "REMOTE_KERNEL_ENDPOINT": pool.endpoint,
        "REMOTE_KERNEL_TOKEN": pool.token,
        "REMOTE_KERNEL_SCOPE": "project",
        "REMOTE_KERNEL_PROJECT": "q",
    }
    one = Notebook.start(environ={**settings, "REMOTE_KERNEL_NOTEBOOK": "/home/ada/a.ipynb"})
    other = Notebook.start(environ={**settings, "REMOTE_KERNEL_NOTEBOOK": "/home/ada/b.ipynb"})
    try:
        one.run("a = 1\nopen('shared.txt', 'w').close()")
        assert other.run("import os; 'a' in globals(), os.path.exists('shared.txt')").result == "(False, True)"
        one.close()
        assert other.run("1 + 1").result == "2"
    finally:
        one.close()
        other.close()


def test_the_command_and_the_kernel_agree_on_the_identifier(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "mit Leerzeichen ü.ipynb"
    path.touch()
    printed = [
        subprocess.run(
            [sys.executable, "-m", "remote_kernel.cli", "identifier", str(spelling)],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        ).stdout.strip()
        for spelling in (path, path.name, tmp_path / "." / path.name)
    ]  # fmt: skip
    assert len(set(printed)) == 1
    settings = pool.environ()
    with Notebook.start(environ={**settings, "JPY_SESSION_NAME": str(path)}) as notebook, pool.client() as client:
        assert notebook.run(WHICH_POD).stdout == which_pod(client, identifier=printed[0])


def test_a_rename_and_a_restart_stay_in_the_pod(pool: Pool, tmp_path: Path) -> None:
    settings = pool.environ()
    with Notebook.start(environ={**settings, "JPY_SESSION_NAME": str(tmp_path / "before.ipynb")}) as notebook:
        before = notebook.run(WHICH_POD).stdout
        environ = {**os.environ, **settings, "JPY_SESSION_NAME": str(tmp_path / "after.ipynb")}
        notebook.manager.restart_kernel(env=environ)
        notebook.wait_answers()
        assert notebook.run(WHICH_POD).stdout == before
