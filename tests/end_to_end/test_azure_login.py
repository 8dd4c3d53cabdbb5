"""From kernel to pool with real tokens: azure-identity, a managed identity endpoint, a pool that checks signatures."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.driver import Content, Notebook, Pool
from tests.issuer import AUDIENCE, OBJECT_ID, Issuer, run_issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def guarded_pool(issuer: Issuer) -> Iterator[Pool]:
    with Pool.start("--issuer", issuer.url, "--executor", OBJECT_ID) as running:
        yield running


@contextmanager
def notebook_on(pool: Pool, issuer: Issuer, **environ: str) -> Iterator[Notebook]:
    settings = {"REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_CREDENTIAL": "managed-identity"}
    with Notebook.start(environ=settings | issuer.environ | environ) as notebook:
        yield notebook


def error_of(notebook: Notebook, code: str) -> str:
    (error,) = notebook.run(code).of_type("error")
    return str(error["evalue"])


def test_a_session_outlives_its_tokens(guarded_pool: Pool, issuer: Issuer) -> None:
    issuer.lifetime_seconds = 2
    with notebook_on(guarded_pool, issuer) as notebook:
        notebook.run("count = 0")
        given = len(issuer.given)
        expected = 0
        while len(issuer.given) < given + 2:
            expected += 1
            assert notebook.run("count += 1; count").result == str(expected)
    issuer.lifetime_seconds = 3600
    assert set(issuer.resources) == {AUDIENCE}


def test_what_the_pool_refuses_is_told_in_the_cell_with_the_command(guarded_pool: Pool, issuer: Issuer) -> None:
    issuer.claims = {"aud": "https://management.azure.com"}  # which a kernel gets before its first cell
    with notebook_on(guarded_pool, issuer, REMOTE_KERNEL_ACCESS_WAIT_SECONDS="0") as notebook:
        assert f"--resource {AUDIENCE}'" in error_of(notebook, "1")
        issuer.claims = {"oid": "99999999-2222-4333-8444-555555555555"}
        assert "--assignee 99999999-2222-4333-8444-555555555555" in error_of(notebook, "2")
    issuer.claims = {}


def test_a_missing_login_is_told_in_the_cell(guarded_pool: Pool, issuer: Issuer) -> None:
    with notebook_on(guarded_pool, issuer, IDENTITY_HEADER="wrong") as notebook:
        assert "no such managed identity" in error_of(notebook, "1")
        assert is_answered(notebook)


def is_answered(notebook: Notebook) -> bool:
    reply: Content = notebook.request("control", "kernel_info_request", {})
    return bool(reply["status"] == "ok")
