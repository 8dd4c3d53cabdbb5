"""The identity key: made once, for its owner only, and never replaced in silence."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from remote_kernel.core.errors import IdentityError
from remote_kernel.kernel.identity.identity_key import KEY_FILE, load_key


def test_the_first_kernel_makes_the_key_and_all_others_read_it(tmp_path: Path) -> None:
    key = load_key({}, tmp_path)
    assert len(key) == 32
    assert load_key({}, tmp_path) == key
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / KEY_FILE).parent.stat().st_mode & 0o777 == 0o700


def test_kernels_that_start_together_agree(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from remote_kernel.kernel.identity.identity_key import load_key\n"
        "sys.stdout.write(load_key({}, pathlib.Path(sys.argv[1])).hex())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    keys = {process.communicate(timeout=60)[0] for process in processes}
    assert len(keys) == 1
    assert len(bytes.fromhex(keys.pop())) == 32


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    key = bytes(range(32))
    assert load_key({"REMOTE_KERNEL_IDENTITY_KEY": base64.b64encode(key).decode()}, tmp_path) == key
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=", b"not base64", b"\xff\xfe"])
def test_a_damaged_key_is_an_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    load_key({}, tmp_path)
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(IdentityError, match="is damaged: delete it"):
        load_key({}, tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    load_key({}, tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    load_key({}, tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir(parents=True)
    with pytest.raises(IdentityError, match="cannot be read"):
        load_key({}, tmp_path)


def test_a_key_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(IdentityError, match=r"cannot be written .*: set JUPYTER_DATA_DIR"):
        load_key({}, Path("/proc/nobody-makes-folders-here"))


@pytest.mark.parametrize("name", [KEY_FILE, "."], ids=["file", "folder"])
def test_a_key_behind_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / name).symlink_to(tmp_path / "not mounted" / "here")
    with pytest.raises(IdentityError, match="a link on the way to it leads nowhere"):
        load_key({}, data)
