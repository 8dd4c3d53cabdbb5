"""`make live` works before anybody has a pool: against the local pool, and against a door that tells secrets."""

import json
import os
import re
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.client.serving import Answer, serve
from tests.driver import Pool
from tests.live import assumptions
from tests.live.assumptions import ASSUMPTIONS
from tests.live.questions import QUESTIONS, Verdict
from tests.live.report import read_junit

ROOT = Path(__file__).parents[2]


def run_live(endpoint: str, token: str, report: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "REMOTE_KERNEL_LIVE_ENDPOINT": endpoint, "REMOTE_KERNEL_LIVE_TOKEN": token}
    command = [sys.executable, "-m", "tests.live", "--output", str(report), *options]
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
def test_the_suites_are_run_and_counted(tmp_path: Path) -> None:
    with Pool.start("--max-sessions", "10") as pool:
        report = tmp_path / "report.md"
        notebook = str(ROOT / "notebooks" / "quickstart.ipynb")
        options = ("--only", "contract", "notebooks", "--tests", "prints or questions", "--notebooks", notebook)
        done = run_live(pool.endpoint, pool.token, report, *options)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\d+ .*\.$", report.read_text(), re.MULTILINE) == ["2 passed.", "10 passed."]
    assert_tells_nothing(report.read_text(), pool.endpoint, pool.token)


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
        return 418, {"x-ms-error-code": said["code"]}, json.dumps({"error": said}).encode()

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
