"""Giving a pod back: who may, and what becomes of those who come in that moment."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from remote_kernel.core.wire import frames as wire
from tests.driver import TIMEOUT_SECONDS, Content, PodProgram, run_in_pod, wait_until


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A pod of its own for each test."""
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
    ):
        yield client


def release(client: httpx.Client, **params: str) -> Content:
    answer: Content = client.post(wire.RELEASE_PATH, params=params).raise_for_status().json()
    return answer


def follow(client: httpx.Client, reader: str) -> int:
    """Open an event stream and close it again; return the status."""
    with client.stream("GET", wire.EVENTS_PATH, params={"reader": reader}) as response:
        return response.status_code


def epoch_of(client: httpx.Client) -> str:
    (kernel,) = client.get(wire.SESSION_PATH).json()["kernels"]
    return str(kernel["epoch"])


def test_a_pod_that_is_given_back_takes_nobody_in_but_who_gave_it_back(client: httpx.Client) -> None:
    assert follow(client, "a") == 200
    assert release(client, epoch=epoch_of(client), reader="a") == {"stops": True, "others": 0, "kernels": 0}
    assert follow(client, "b") == 503
    assert client.post(wire.EXECUTE_PATH, json={"code": "1"}).status_code == 503
    body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": "1"}
    params = {"api-version": "2025-10-02-preview", "identifier": "session"}
    assert client.post("/executions", params=params, json=body).status_code == 503
    assert follow(client, "a") == 200
    assert follow(client, "b") == 200


def test_a_pod_that_is_given_back_takes_nobody_in_who_comes_back_to_it_either(client: httpx.Client) -> None:
    assert follow(client, "a") == 200
    epoch = epoch_of(client)
    # Somebody whose claim has ended, to a kernel that was never used, would not keep the pod.
    assert release(client, kernel="another", epoch="", reader="a")["stops"] is True
    params = {"epoch": epoch, "after": "0", "reader": "b"}
    with client.stream("GET", wire.EVENTS_PATH, params=params) as response:
        assert response.status_code == 503
    assert client.post(wire.MESSAGES_PATH, params={"epoch": epoch, "sender": "b"}, content=b"").status_code == 503


def test_who_has_followed_has_a_claim_until_it_gives_it_up(client: httpx.Client) -> None:
    for reader in ("a", "b"):
        follow(client, reader)
    epoch = epoch_of(client)
    assert release(client, epoch=epoch, reader="a") == {"stops": False, "others": 1, "kernels": 1}
    assert release(client, epoch=epoch, reader="b") == {"stops": True, "others": 0, "kernels": 0}


def test_another_epoch_is_left_alone_and_a_kernel_of_another_name_as_well(client: httpx.Client) -> None:
    run_in_pod(client, "1")
    assert release(client, epoch="another", reader="a") == {"stops": False, "others": 0, "kernels": 1}
    assert release(client, epoch=epoch_of(client), kernel="other", reader="a")["stops"] is False
    assert release(client, epoch=epoch_of(client), reader="a", order="1")["stops"] is True


def end_interpreter(client: httpx.Client, reader: str) -> str:
    """Have a cell end the interpreter, and return the epoch that this was."""
    follow(client, reader)
    epoch = epoch_of(client)
    client.post(wire.EXECUTE_PATH, params={"reader": reader}, json={"code": "import os; os._exit(0)"})
    wait_until(lambda: epoch_of(client) != epoch)
    return epoch


def test_an_interpreter_that_ended_by_itself_keeps_no_pod(client: httpx.Client) -> None:
    """As that of a kernel that was killed before it heard of it: the epoch that it gives back is over."""
    epoch = end_interpreter(client, "a")
    assert release(client, epoch=epoch, reader="a") == {"stops": True, "others": 0, "kernels": 0}


def test_what_others_did_since_an_interpreter_ended_keeps_the_pod(client: httpx.Client) -> None:
    epoch = end_interpreter(client, "a")
    follow(client, "b")
    assert release(client, epoch=epoch, reader="a")["stops"] is False, "somebody else has a claim"
    run_in_pod(client, "1", reader="b")
    assert release(client, epoch=epoch, reader="b") == {"stops": False, "others": 0, "kernels": 1}


@pytest.mark.slow
def test_an_interpreter_of_a_process_that_is_gone_ends_by_itself_whoever_keeps_the_pod() -> None:
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), REMOTE_KERNEL_POD_COOLDOWN_SECONDS="1.5") as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", wire.EVENTS_PATH, params={"reader": "notebook"}),
        client.stream("GET", wire.EVENTS_PATH, params={"reader": "living", "kernel": "run-living"}),
    ):
        with client.stream("GET", wire.EVENTS_PATH, params={"reader": "killed", "kernel": "run-killed"}):
            run_in_pod(client, "import time", kernel="run-killed")
        names: list[str] = []

        def is_left_alone() -> bool:
            """Call the pod, as what keeps it warm does."""
            names[:] = [kernel["name"] for kernel in client.get(wire.SESSION_PATH).json()["kernels"]]
            return "run-killed" not in names

        wait_until(is_left_alone)
        assert names == ["main", "run-living"]


def test_kernel_that_could_not_start_gives_its_name_to_another_kernelspec(client: httpx.Client) -> None:
    params = {"kernel": "main", "kernelspec": "no-such-kernel"}
    assert client.post(wire.EXECUTE_PATH, params=params, json={"code": "1"}).status_code == 404
    run_in_pod(client, "1")
    answer = client.post(wire.EXECUTE_PATH, params=params, json={"code": "1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EpochMismatch")


def test_an_interpreter_of_a_process_that_is_gone_keeps_no_pod(client: httpx.Client) -> None:
    run_in_pod(client, "1", kernel="run-killed")
    follow(client, "a")
    epochs = {kernel["name"]: kernel["epoch"] for kernel in client.get(wire.SESSION_PATH).json()["kernels"]}
    # As long as it may live, it does.
    assert release(client, epoch=epochs["main"], reader="a") == {"stops": False, "others": 0, "kernels": 1}
