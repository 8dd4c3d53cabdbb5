"""A pool like Azure's built-in ones, and a login that the clients find by themselves."""

import os
from collections.abc import Iterator

import pytest

from tests.driver import Pool
from tests.issuer import Issuer, run_issuer

# In Azure, what clients are given is the long form.
PATH = "/subscriptions/s/resourceGroups/g/sessionPools/pool"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer() as running:
        yield running


@pytest.fixture(scope="module", params=["interpreter", "custom"])
def flavor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pool(flavor: str, issuer: Issuer) -> Iterator[Pool]:
    with Pool.start("--flavor", flavor, "--issuer", issuer.url, "--max-sessions", "10") as running:
        yield running


@pytest.fixture
def endpoint(pool: Pool, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the pool's endpoint; whoever uses azure-identity is logged in."""
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    for name, value in issuer.environ.items():
        monkeypatch.setenv(name, value)
    return pool.endpoint + PATH
