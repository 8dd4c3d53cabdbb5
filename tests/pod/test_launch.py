"""Launch options, in a real pod."""

import json
import uuid
from typing import Any

import httpx
import psutil
import pytest

from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.launch import AS_ASKED, LAUNCH_PATH, OTHER, Launch
from tests.driver import TIMEOUT_SECONDS, PodProgram, run_in_pod, stdout_of


@pytest.fixture
def kernel() -> str:
    return f"k-{uuid.uuid4().hex[:8]}"


def put(client: httpx.Client, kernel: str, launch: Launch, **params: str) -> Any:
    response = client.put(LAUNCH_PATH, params={"kernel": kernel, **params}, content=launch.to_bytes())
    return response.raise_for_status().json()["launch"]


def hello(client: httpx.Client, kernel: str) -> wire.Hello:
    decoder = codec.FrameDecoder()
    with client.stream("GET", wire.EVENTS_PATH, params={"kernel": kernel}) as response:
        for chunk in response.raise_for_status().iter_raw():
            for frame in decoder.feed(chunk):
                assert isinstance(frame, wire.Hello)
                return frame
    raise AssertionError("there was no Hello")


def run(client: httpx.Client, kernel: str, code: str) -> Any:
    """Return what a cell prints as JSON."""
    return json.loads(stdout_of(run_in_pod(client, code, kernel=kernel)))


LOOK = """
import json, os, sys
print(json.dumps([os.getcwd(), os.environ.get("JPY_SESSION_NAME"), globals().get("__session__"), os.environ.get("MINE"),
    sys.path[-1], [str(each) for each in _dh], os.getpid()]))
"""


def test_an_interpreter_is_as_it_was_asked_for(client: httpx.Client, kernel: str) -> None:
    launch = Launch(workspace="w", cwd="w/notebooks", notebook="w/notebooks/a.ipynb", environ={"MINE": "caf\udce9 = x"})
    assert put(client, kernel, launch) == AS_ASKED
    data = run(client, f"{kernel}-plain", LOOK)[0]
    folder, session, dunder, mine, last, visited, _ = run(client, kernel, LOOK)
    assert folder == f"{data}/w/notebooks"
    assert session == dunder == f"{data}/w/notebooks/a.ipynb"
    assert mine == "caf\udce9 = x"
    assert last == f"{data}/w"
    assert visited == [folder]
    assert hello(client, kernel).launch == AS_ASKED


def test_nobody_has_asked(client: httpx.Client, kernel: str) -> None:
    _, session, dunder, *_ = run(client, kernel, LOOK)
    assert session is dunder is None
    assert hello(client, kernel).launch == ""


def test_the_spare_interpreter_is_used_and_that_leaves_no_trace(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        PodProgram.start(tmp_path_factory.mktemp("p")) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
    ):
        ready = {each.pid for each in psutil.Process(pod.process.pid).children(recursive=True)}
        put(client, "main", Launch(notebook="a.ipynb", environ={"MINE": "1"}, startup="pass"))
        code = "import json; print(json.dumps([In, Out, sorted(set(dir()) - {'__session__'})]))"
        assert run(client, "main", code) == run(client, "plain", code)
        assert run(client, "main", LOOK)[-1] in ready
        assert run(client, "plain", LOOK)[-1] not in ready


def test_what_counts_as_a_process_starts_takes_a_process(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(environ={"PYTHONHASHSEED": "0"}))
    put(client, f"{kernel}-2", Launch(environ={"PYTHONHASHSEED": "0"}))
    code = "print(hash('a'))"
    assert run(client, kernel, code) == run(client, f"{kernel}-2", code)


def test_a_restart_has_the_options_and_so_has_one_after_a_death(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(environ={"MINE": "1"}, startup="started = 1"))
    run_in_pod(client, "import os; os._exit(1)", kernel=kernel)
    assert run(client, kernel, LOOK)[3] == "1"
    assert run(client, kernel, "print(started)") == 1


def test_an_interpreter_that_was_used_stays_as_it_is(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(environ={"MINE": "1"}))
    pid = run(client, kernel, LOOK)[-1]
    assert put(client, kernel, Launch(environ={"MINE": "2"})) == OTHER
    assert hello(client, kernel).launch == OTHER
    assert run(client, kernel, LOOK)[3:] == ["1", *run(client, kernel, LOOK)[4:6], pid]
    assert put(client, kernel, Launch(environ={"MINE": "1"}, notebook="renamed.ipynb")) == AS_ASKED


def test_one_that_nobody_has_used_gives_way(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(environ={"MINE": "1"}), reader="me")
    with client.stream("GET", wire.EVENTS_PATH, params={"kernel": kernel, "reader": "me"}) as response:
        next(response.iter_raw())
    assert put(client, kernel, Launch(environ={"MINE": "2"}), reader="me") == AS_ASKED
    assert run(client, kernel, LOOK)[3] == "2"


def test_one_that_somebody_else_follows_does_not(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(environ={"MINE": "1"}), reader="other")
    with client.stream("GET", wire.EVENTS_PATH, params={"kernel": kernel, "reader": "other"}) as response:
        next(response.iter_raw())
        assert put(client, kernel, Launch(environ={"MINE": "2"}), reader="me") == OTHER


def test_startup_file_runs_unseen_before_the_first_cell(client: httpx.Client, kernel: str) -> None:
    text = "import json\nprint('unseen')\nfrom __future__ import annotations\n"
    put(client, kernel, Launch(startup=text.replace("from", "# from"), startup_name="start.py"))
    messages = run_in_pod(client, "print(json.dumps('__file__' in globals()))", kernel=kernel)
    assert stdout_of(messages) == "false\n"


def test_magics_are_for_a_startup_file_of_ipython(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(startup="%precision 3\ny = %pwd\n", startup_name="start.ipy"))
    assert "/" in stdout_of(run_in_pod(client, "print(y)", kernel=kernel))


def notes(messages: list[Any]) -> list[str]:
    return [
        message["content"]["text"]
        for message in messages
        if message["header"]["msg_type"] == "stream" and message["content"]["name"] == "stderr"
    ]


@pytest.mark.parametrize(
    ("startup", "failure"),
    [
        ("x = 1\nmissing\ny = 2\n", "NameError, line 2"),
        ("def f():\n    raise KeyError('s3cret')\n\nf()\n", "KeyError, line 2"),
        ("import json\njson.loads('{')\n", "JSONDecodeError, line 2"),
        ("x = (\n", "SyntaxError, line 1"),
        ("import sys\nsys.exit(3)\n", "SystemExit, line 2"),
        ("input()\n", "StdinNotImplementedError, line 1"),
    ],
)
def test_failure_of_a_startup_file_is_told_once_and_the_cell_runs(
    client: httpx.Client, kernel: str, startup: str, failure: str
) -> None:
    put(client, kernel, Launch(startup=startup, startup_name="start.py"))
    first, second = (run_in_pod(client, "print(1)", kernel=kernel) for _ in range(2))
    assert stdout_of(first) == stdout_of(second) == "1\n"
    assert notes(first) == [f"[The startup file has failed: {failure}. What is behind that line was not run.]\n"]
    assert notes(second) == []


def test_startup_file_may_end_by_itself(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(startup="import sys\nz = 1\nsys.exit()\n"))
    assert notes(messages := run_in_pod(client, "print(z)", kernel=kernel)) == []
    assert stdout_of(messages) == "1\n"


def test_startup_file_that_ends_the_interpreter_is_told(client: httpx.Client, kernel: str) -> None:
    put(client, kernel, Launch(startup="import os\nos._exit(3)\n"))
    response = client.post(wire.EXECUTE_PATH, params={"kernel": kernel}, json={"code": "1"})
    assert response.status_code == 424
    assert "it ended, exit status 3" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["../out", "/etc", "a/../../b"])
@pytest.mark.parametrize("field", ["cwd", "workspace", "notebook"])
def test_path_that_leads_out_is_refused(client: httpx.Client, kernel: str, field: str, path: str) -> None:
    response = client.put(LAUNCH_PATH, params={"kernel": kernel}, content=json.dumps({field: path}))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "InvalidPath"


def test_link_that_leads_out_is_refused(client: httpx.Client, kernel: str) -> None:
    run_in_pod(client, "import os; os.symlink('/', 'out')", kernel=kernel)
    response = client.put(LAUNCH_PATH, params={"kernel": kernel}, content=Launch(cwd="out/tmp").to_bytes())
    assert response.json()["error"]["code"] == "InvalidPath"


def test_what_is_no_launch_is_refused(client: httpx.Client, kernel: str) -> None:
    for content in (b"", b"[]", b'{"environ": {"A": 1}}', b'{"startup": "%s"}' % (b"x" * 300_000)):
        response = client.put(LAUNCH_PATH, params={"kernel": kernel}, content=content)
        assert response.status_code == 400
