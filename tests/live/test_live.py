"""`make live` works before anybody has a pool: against the local pool, and against a door that tells secrets."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import nbformat
import pytest

from remote_kernel.client.access import Endpoint
from remote_kernel.core.wire.frames import SESSION_PATH, STOP_SESSION_PATH
from tests.client.serving import Answer, serve
from tests.driver import Pool, wait_until
from tests.live import assumptions
from tests.live.__main__ import make_parser
from tests.live.assumptions import ASSUMPTIONS
from tests.live.door import Door, Refused
from tests.live.questions import QUESTIONS, Verdict
from tests.live.report import read_junit
from tests.live.timings import time_allocation

ROOT = Path(__file__).parents[2]


def live_command(endpoint: str, token: str, report: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    environ = {**os.environ, "REMOTE_KERNEL_LIVE_ENDPOINT": endpoint, "REMOTE_KERNEL_LIVE_TOKEN": token}
    return [sys.executable, "-m", "tests.live", "--output", str(report), *options], environ


def run_live(endpoint: str, token: str, report: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command, environ = live_command(endpoint, token, report, *options)
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)


def verdicts(report: str) -> dict[str, str]:
    """Return name and verdict of each row of the answers."""
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("| ")]
    return {row[0]: row[2].strip("*") for row in rows if len(row) == 4}


def test_every_question_is_about_a_row_of_the_table_and_every_row_says_who_asks() -> None:
    assert {each.name for each in ASSUMPTIONS if each.is_asked} == set(QUESTIONS)
    assert all(each.says.startswith("is not asked: ") for each in ASSUMPTIONS if not each.is_asked)
    assert len({each.name for each in ASSUMPTIONS}) == len(ASSUMPTIONS)


def test_the_page_about_azure_has_the_table() -> None:
    assert assumptions.is_current(), "write it anew: python -m tests.live.assumptions"


def test_without_a_pool_it_says_what_to_set(tmp_path: Path) -> None:
    done = run_live("", "", tmp_path / "report.md")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "Set REMOTE_KERNEL_LIVE_ENDPOINT to the pool management endpoint, and log in with 'az login'.\n"
    )


def test_where_nothing_answers_it_says_so(tmp_path: Path) -> None:
    done = run_live("http://127.0.0.1:9", "token", tmp_path / "report.md")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("The pool cannot be reached (ConnectError)")
    assert "- The pool cannot be reached (ConnectError)" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "Unauthorized", "log in anew with 'az login', or set another token"),
        (403, "Forbidden", "ask for the role 'Azure ContainerApps Session Executor' on it, and wait some minutes"),
        (404, "MaximumNumberOfSessionsExceeded", "wait until a session is free"),
        (429, "TooManySessions", "wait until a session is free"),
        (503, "Unavailable", "'remote-kernel doctor' says more"),
    ],
)
def test_a_pool_that_refuses_is_not_taken_for_one_of_another_kind(
    status: int, code: str, advice: str, tmp_path: Path
) -> None:
    with serve(lambda _: (status, {}, json.dumps({"error": {"code": code}}).encode())) as port:
        done = run_live(f"http://127.0.0.1:{port}", "a-secret", tmp_path / "report.md")
    sentence = f"The pool answered {status} {code} to the first request: {advice}."
    assert done.returncode == 1
    assert done.stderr.splitlines() == [sentence]
    text = (tmp_path / "report.md").read_text()
    assert f"- {sentence}" in text
    assert "| kind of pool | not asked |" in text


def test_a_part_that_fails_costs_that_part_and_every_session_is_given_back(tmp_path: Path) -> None:
    """The pool hangs up on whatever is asked of a session, and on half of those who give one back."""
    asked: set[str] = set()
    ended: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        request.rfile.read(int(request.headers.get("content-length") or 0))
        named = re.search(r"live-[0-9a-f]+", request.path)
        if request.path.startswith(STOP_SESSION_PATH) and named:
            ended.append(named[0])
            return (200 if len(set(ended)) % 2 else 0), {}, b"{}"
        asked.update([named[0]] if named else [])
        return (200 if request.path.startswith(SESSION_PATH) else 0), {}, b"{}"

    with serve(answer) as port:
        options = ("--only", "answers", "notebooks", "--notebooks", str(tmp_path / "none.ipynb"))
        done = run_live(f"http://127.0.0.1:{port}", "token", tmp_path / "report.md", *options)
    assert done.returncode == 1
    text = (tmp_path / "report.md").read_text()
    assert verdicts(text)["same pod"] == Verdict.OTHERWISE
    assert re.search(r"^- \d sessions are left to the pool's cooldown$", text, re.MULTILINE)
    assert "## Notebooks\n- it ended with exit status 2\n" in text
    assert asked <= set(ended)


@pytest.mark.anyio
async def test_a_refusal_is_not_timed() -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer:
        is_first = not asked
        asked.append(request.path)
        return (200 if is_first else 429), {}, b"{}"

    asked: list[str] = []
    with serve(answer) as port:
        async with Door.open(Endpoint(f"http://127.0.0.1:{port}", "token")) as door:
            with pytest.raises(Refused, match="429"):
                await time_allocation(door, 3)


def test_notebooks_in_folders_are_run_too() -> None:
    (folder,) = make_parser().parse_args([]).notebooks
    assert folder / "life" / "life.ipynb" in folder.rglob("*.ipynb")


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["custom", "interpreter"])
def test_local_pool_is_as_assumed(flavor: str, tmp_path: Path) -> None:
    with Pool.start("--max-sessions", "5", "--flavor", flavor) as pool:
        report = tmp_path / "report.md"
        done = run_live(pool.endpoint, pool.token, report, "--only", "answers", "times", "--cells", "3", "--fill", "6")
        left = pool.sessions()
    text = report.read_text()
    assert [name for name, said in verdicts(text).items() if said == Verdict.OTHERWISE] == []
    assert done.returncode == 0, done.stderr
    assert left == [], "all sessions are given back"
    asked = {name for name, said in verdicts(text).items() if said in {Verdict.AS_ASSUMED, Verdict.SEEN}}
    assert asked == {each.name for each in ASSUMPTIONS if each.is_asked and flavor in each.kinds}
    assert "| 5 MB in 100-byte lines |" in text
    assert_tells_nothing(text, pool.endpoint, pool.token)


@pytest.mark.slow
@pytest.mark.unix
@pytest.mark.parametrize("part", ["answers", "notebooks"])
def test_ctrl_c_gives_the_sessions_back_and_tells_what_was_found_out(part: str, tmp_path: Path) -> None:
    shown = [nbformat.v4.new_output("stream", text="something to compare with")]
    begun = tmp_path / "begun"
    code = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(600)"
    cells = [nbformat.v4.new_code_cell(code, outputs=shown)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    report = tmp_path / "report.md"
    with Pool.start("--max-sessions", "5") as pool:
        options = ("--only", part, "--notebooks", str(tmp_path / "a.ipynb"))
        command, environ = live_command(pool.endpoint, pool.token, report, *options)
        with subprocess.Popen(
            command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stderr is not None
            if part == "answers":
                assert any("asking: streaming" in line for line in process.stderr)
            else:
                wait_until(begun.exists)  # a session that is still being made is left to the user's next kernel
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all programs in it
            process.communicate()
        wait_until(lambda: pool.sessions() == [])
    assert process.returncode == 1
    text = report.read_text()
    assert "## What was not asked\n- interrupted\n" in text
    if part == "answers":
        assert verdicts(text)["same pod"] == Verdict.AS_ASSUMED
        assert verdicts(text)["full"] == Verdict.NOT_ASKED


@pytest.mark.slow
def test_the_suites_are_run_and_counted(tmp_path: Path) -> None:
    with Pool.start("--max-sessions", "10") as pool:
        report = tmp_path / "report.md"
        notebook = str(ROOT / "notebooks" / "quickstart.ipynb")
        options = ("--only", "contract", "notebooks", "--tests", "prints or questions", "--notebooks", notebook)
        done = run_live(pool.endpoint, pool.token, report, *options)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\d+ .*\.$", report.read_text(), re.MULTILINE) == ["2 passed.", "10 passed."]
    assert_tells_nothing(report.read_text(), pool.endpoint, pool.token)


@pytest.mark.slow
def test_a_door_that_tells_all_it_knows_is_not_quoted(tmp_path: Path) -> None:
    """It answers every request with an error that names the caller, the session, the pool and its host."""
    planted = {
        "code": f"No session for {socket.gethostname()} 99999999-2222-4333-8444-555555555555 grace@example.org",
        "message": "of /subscriptions/grace-subscription/resourceGroups/graces-group",
    }
    secrets: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        request.rfile.read(int(request.headers.get("content-length") or 0))
        said = {**planted, "code": f"{planted['code']} {request.path} {request.headers.get('authorization', '')}"}
        secrets.extend(re.findall(r"live-[0-9a-f]+", request.path))
        status = 404 if request.path.startswith(SESSION_PATH) else 418
        return status, {"x-ms-error-code": said["code"]}, json.dumps({"error": said}).encode()

    with serve(answer) as port:
        done = run_live(f"http://127.0.0.1:{port}", "a-token-of-grace", tmp_path / "report.md", "--only", "answers")
    assert done.returncode == 1
    text = (tmp_path / "report.md").read_text()
    assert "**otherwise** | 418 No session for <machine> <guid> <address>" in text
    for secret in (*secrets, "grace", "99999999", "a-token-of", str(port), socket.gethostname()):
        assert secret not in text, secret


def test_of_a_suite_s_report_names_and_outcomes_are_taken_and_nothing_that_was_said(tmp_path: Path) -> None:
    cases = (
        '<testcase classname="tests.contract.test_contract" name="test_a[live]"><failure>a secret</failure></testcase>',
        '<testcase classname="/home/grace/n.ipynb" name="cell 1: key = 5"><error message="a secret"/></testcase>',
        '<testcase classname="/home/grace/o.ipynb" name="cell 1: key = 5"/>',
        '<testcase classname="/home/grace/o.ipynb" name="cell 2: x"><skipped message="a secret"/></testcase>',
    )
    (tmp_path / "junit.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    assert read_junit(tmp_path / "junit.xml") == {
        "test_contract: test_a[live]": "failed", "n: cell 1": "failed", "o: cell 1": "passed", "o: cell 2": "skipped",
    }  # fmt: skip


def assert_tells_nothing(text: str, endpoint: str, token: str) -> None:
    for secret in (endpoint, endpoint.rpartition(":")[2], token, socket.gethostname(), str(ROOT)):
        assert not re.search(rf"\b{re.escape(secret)}\b", text), secret
    assert not re.search(r"live-[0-9a-f]{8}|[Bb]earer", text)
