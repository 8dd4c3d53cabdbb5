"""A server's certificate."""

import ssl
from pathlib import Path

import pytest

from tests.certificate import make_certificate


@pytest.fixture
def server_certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody has signed but itself; for clients, it is `server.pem` in `tmp_path`."""
    return make_certificate(tmp_path)
