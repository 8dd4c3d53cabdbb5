"""A pool like Azure's built-in ones, as a program."""

import base64
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.pool.processes.mounts import can_mount, with_data_mounted
from tests.driver import Content, Notebook, Pool

PREFIX = "/subscriptions/s/resourceGroups/g/sessionPools/pool"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with Pool.start("--flavor", "interpreter") as pool, pool.client() as client:
        client.params = {"api-version": ApiVersion.V2025_10_02.value, "identifier": "session-1"}
        yield client


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


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
def test_each_pod_has_a_mnt_data_of_its_own(client: httpx.Client) -> None:
    client.post("/files", files={"file": ("a.txt", b"hello")}).raise_for_status()
    code = "import os\nos.chdir('/mnt/data')\nopen('b.txt', 'w').write('bye')\nopen('/mnt/data/a.txt').read()"
    assert execute(client, code)["executionResult"] == "hello"
    assert client.get("/files/b.txt/content").content == b"bye"
    other = client.get("/files", params={"identifier": "session-2"})
    assert other.json() == {"value": []}


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
def test_pods_of_ours_have_one_where_that_is_asked_for_with_debugger_and_processes_as_ever() -> None:
    with Pool.start("--mount-data") as pool:
        notebook = Notebook.start(environ={"REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_TOKEN": pool.token})
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
        notebook.close()


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
def test_what_is_in_mnt_is_there_for_pods_as_well(tmp_path: Path) -> None:
    data, mnt = tmp_path / "pod" / "data", tmp_path / "host"
    data.mkdir(parents=True)
    (mnt / "disk").mkdir(parents=True)
    (mnt / "disk" / "a.txt").write_text("hello")
    inner = shlex.join(with_data_mounted(str(data), ["sh", "-c", "cat /mnt/disk/a.txt; ls /mnt; touch /mnt/data/b"]))
    outer = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount")
    script = f"mount --bind {shlex.quote(str(mnt))} /mnt && {inner}"
    done = subprocess.run([*outer, "sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hellodata\ndisk\n", "")
    assert [path.name for path in data.iterdir()] == ["b"]
    assert (mnt / "disk" / "a.txt").exists()


def test_where_nobody_can_mount_a_pool_that_is_to_says_so() -> None:
    command = [sys.executable, "-m", "remote_kernel.pool", "--mount-data"]
    done = subprocess.run(command, env={**os.environ, "PATH": ""}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "This system lets no pod have a /mnt/data of its own: leave --mount-data out.\n"
