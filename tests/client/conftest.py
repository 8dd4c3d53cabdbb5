"""A server's certificate, and a pod for files."""

import shutil
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificate import make_certificate
from tests.driver import Pod


@pytest.fixture
def server_certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody has signed but itself; for clients, it is `server.pem` in `tmp_path`."""
    return make_certificate(tmp_path)


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    """A pod for the tests of one file."""
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture
def data(pod: Pod) -> Path:
    """The pod's data folder, empty."""
    folder = pod.scratch / "data"
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return folder
