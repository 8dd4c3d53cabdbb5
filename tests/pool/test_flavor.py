"""A pool like Azure's built-in ones, as a program."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.pool.processes.mounts import can_mount
from tests.driver import Content, Pool

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
