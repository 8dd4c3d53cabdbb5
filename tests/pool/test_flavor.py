"""A pool like Azure's built-in ones, as a program."""

import base64
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.pool.processes.mounts import can_mount, costs_nothing, with_data_mounted
from tests.driver import Content, Notebook, Pool

needs_mounts = pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")

IN_MOUNTS_OF_ITS_OWN = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount")

PREFIX = "/subscriptions/s/resourceGroups/g/sessionPools/pool"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with Pool.start("--flavor", "interpreter") as pool, pool.client() as client:
        client.params = {"api-version": ApiVersion.V2025_10_02.value, "identifier": "session-1"}
        yield client


@contextmanager
def notebook_on(pool: Pool) -> Iterator[Notebook]:
    with Notebook.start(environ=pool.environ()) as notebook:
        yield notebook


def execute(client: httpx.Client, code: str) -> Content:
    answer = client.post(f"{PREFIX}/executions", json={"code": code}).raise_for_status()
    result: Content = answer.json()["result"]
    return result


def test_pods_know_nothing_of_notebooks(client: httpx.Client) -> None:
    answer = client.get("/api/v2/session")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (404, "NotFound")


def test_operation_location_is_where_the_client_can_reach_it(client: httpx.Client) -> None:
    body = {"code": base64.b64encode(b"6 * 7").decode(), "codeInputType": "InlineBase64"}
    answer = client.post(f"{PREFIX}/executions", json=body).raise_for_status()
    location = httpx.URL(answer.headers["operation-location"])
    assert location.path.startswith(f"{PREFIX}/executions/")
    assert client.get(location).json()["result"]["executionResult"] == 42


@needs_mounts
def test_each_pod_has_a_mnt_data_of_its_own(client: httpx.Client) -> None:
    client.post("/files", files={"file": ("a.txt", b"hello")}).raise_for_status()
    code = "import os\nos.chdir('/mnt/data')\nopen('b.txt', 'w').write('bye')\nopen('/mnt/data/a.txt').read()"
    assert execute(client, code)["executionResult"] == "hello"
    assert client.get("/files/b.txt/content").content == b"bye"
    other = client.get("/files", params={"identifier": "session-2"})
    assert other.json() == {"value": []}


@pytest.mark.slow
@needs_mounts
def test_pods_of_ours_have_one_too_with_debugger_and_processes_as_ever() -> None:
    with Pool.start(*(() if costs_nothing() else ("--mount-data",))) as pool, notebook_on(pool) as notebook:
        code = "import os, psutil, sys\n"
        code += "open('/mnt/data/a.txt', 'w').close()\n"
        code += "os.getcwd(), os.listdir(), os.getpid() in {each.pid for each in psutil.Process().parent().children()}"
        assert notebook.run(code).result == "('/mnt/data', ['a.txt'], True)"
        content = {"clientID": "test", "adapterID": "", "pathFormat": "path", "linesStartAt1": True}
        for number, (command, arguments) in enumerate((("initialize", content), ("attach", {})), start=1):
            request = {"type": "request", "seq": number, "command": command, "arguments": arguments}
            assert notebook.request("control", "debug_request", request)["success"]
        (pod,) = pool.sessions()
        assert psutil.Process(pod["pid"]).children(recursive=True), "its interpreters are processes of this machine"


def test_pods_have_none_where_that_is_not_wanted() -> None:
    with Pool.start("--no-mount-data") as pool, notebook_on(pool) as notebook:
        assert notebook.run("import os; os.getcwd() == '/mnt/data'").result == "False"


@pytest.mark.slow
@needs_mounts
@pytest.mark.parametrize("mine", ["/mnt/data/mine", "/mnt/mine.csv", "/mnt/.mine/file"])
def test_by_default_pods_of_ours_hide_nothing_in_mnt_and_those_of_azure_s_do(mine: str) -> None:
    """A machine may have a disk there, with what notebooks read."""
    code = f"import os\nos.path.exists({mine!r})"
    script = f'mount -t tmpfs tmpfs /mnt && mkdir {Path(mine).parent} -p && touch {mine} && exec "$@"'
    prefix = (*IN_MOUNTS_OF_ITS_OWN, "sh", "-c", script, "sh")
    with Pool.start(prefix=prefix) as pool, notebook_on(pool) as notebook:
        assert notebook.run(code).result == "True"
    with Pool.start("--flavor", "interpreter", prefix=prefix) as pool, pool.client() as client:
        client.params = {"api-version": ApiVersion.V2025_10_02.value, "identifier": "session-1"}
        assert execute(client, code)["executionResult"] is False


@needs_mounts
def test_whoever_is_not_root_is_who_he_was(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as scratch:
        data = Path(scratch, "data")
        data.mkdir()
        if nobody:
            os.chown(scratch, 65534, 65534)
            os.chown(data, 65534, 65534)
            monkeypatch.setattr(os, "geteuid", lambda: 65534)
            monkeypatch.setattr(os, "getegid", lambda: 65534)
        wanted = f"{os.geteuid()}\n{os.getegid()}\n"
        command = with_data_mounted(str(data), ["sh", "-c", "id -u; id -g; touch /mnt/data/a.txt"])
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **nobody)  # type: ignore[call-overload]
        assert (done.returncode, done.stdout, done.stderr) == (0, wanted, "")
        assert (data / "a.txt").stat().st_uid == int(wanted.split()[0])


@needs_mounts
def test_what_is_in_mnt_is_there_for_pods_as_well(tmp_path: Path) -> None:
    data, mnt = tmp_path / "pod" / "data", tmp_path / "host"
    data.mkdir(parents=True)
    (mnt / "disk").mkdir(parents=True)
    (mnt / "disk" / "a.txt").write_text("hello")
    inner = shlex.join(with_data_mounted(str(data), ["sh", "-c", "cat /mnt/disk/a.txt; ls /mnt; touch /mnt/data/b"]))
    script = f"mount --bind {shlex.quote(str(mnt))} /mnt && {inner}"
    done = subprocess.run([*IN_MOUNTS_OF_ITS_OWN, "sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hellodata\ndisk\n", "")
    assert [path.name for path in data.iterdir()] == ["b"]
    assert (mnt / "disk" / "a.txt").exists()


def test_where_nobody_can_mount_a_pool_that_is_to_says_so() -> None:
    command = [sys.executable, "-m", "remote_kernel.pool", "--mount-data"]
    done = subprocess.run(command, env={**os.environ, "PATH": ""}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "This system lets no pod have a /mnt/data of its own: leave --mount-data out.\n"


def test_where_nobody_can_mount_a_pool_of_which_nobody_wants_it_goes_on() -> None:
    prefix = (sys.executable, "-c", "import os, sys; os.environ['PATH'] = ''; os.execv(sys.argv[1], sys.argv[1:])")
    with Pool.start(prefix=prefix) as pool, pool.client() as client:
        client.params = {"api-version": ApiVersion.V2025_10_02.value, "identifier": "session-1"}
        assert execute(client, "import os\nos.getcwd() == '/mnt/data'")["executionResult"] is False
