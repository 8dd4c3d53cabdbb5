"""`%session`, whichever way goes to the pod."""

import re
from pathlib import Path

import pytest

from tests.contract.ways import Way
from tests.wheels import make_wheel

pytestmark = pytest.mark.contract


def test_the_card_tells_that_the_session_is_there_and_how_far_away(way: Way) -> None:
    way.notebook.run("pass")
    text = way.notebook.run("%session").displayed
    assert text.startswith("Remote session: connected")
    assert re.search(r"Round trip +[\d.]+ ms", text)


@pytest.mark.needs("files")
def test_files_go_up_and_come_down(way: Way, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2500
    (tmp_path / "up.bin").write_bytes(content)
    assert "Uploaded 1 file" in way.notebook.run(f"%session upload {tmp_path / 'up.bin'} --to in").displayed
    assert way.notebook.run("import os; os.path.getsize('in/up.bin')").result == str(len(content))
    assert "Downloaded 1 file" in way.notebook.run(f"%session download in/up.bin --to {tmp_path / 'back'}").displayed
    assert (tmp_path / "back/up.bin").read_bytes() == content


def test_files_that_cannot_be_moved_are_told_with_what_helps(way: Way) -> None:
    if way.name != "plain":
        pytest.skip("there is an agent, which moves files")
    reply = way.notebook.run(f"%session upload {__file__}").reply
    assert reply["ename"] == "TransferError"
    assert "up to 128 MB" in reply["evalue"]


@pytest.mark.needs("files")
def test_packages_are_installed_without_a_network(way: Way, tmp_path: Path) -> None:
    name = f"rk-contract-{way.name}"
    wheel = make_wheel(tmp_path, name)
    assert f"Installed 1 package in the session: {name} 1.0." in way.notebook.run(f"%session install {wheel}").displayed
    assert way.notebook.run(f"import rk_contract_{way.name} as module; module.version").result == "'1.0'"
