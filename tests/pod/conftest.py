"""One real pod for the tests of a file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.driver import TIMEOUT_SECONDS, Pod


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture
def client(pod: Pod) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
        yield client
