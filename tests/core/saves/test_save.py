"""A save as it is written."""

import json
from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.saves.save import Save
from tests.core.saves.examples import MANIFEST

SAVE = Save(
    id="0123abcd", name="before", saved_at=1_800_000_000.5, notebook="/home/ada/d\u00e9j\u00e0 \udce9.ipynb",
    pod_kernel="python3", manifest=MANIFEST, files={"data.csv": "a" * 64},
    session="f00d", is_unasked=True,
)  # fmt: skip


@pytest.mark.parametrize("save", [SAVE, Save(id="0123abcd", saved_at=0.0)])
def test_a_save_is_read_as_it_was_written(save: Save) -> None:
    assert Save.from_bytes(save.to_bytes()) == save


def test_a_save_of_a_version_that_noted_no_session_is_read() -> None:
    fields = json.loads(SAVE.to_bytes())
    del fields["session"], fields["is_unasked"]
    save = Save.from_bytes(json.dumps(fields).encode())
    assert (save.session, save.is_unasked) == ("", False)


def test_a_save_is_called_by_its_name_or_its_id() -> None:
    assert SAVE.label == "before"
    assert Save(id="0123abcd", saved_at=0.0).label == "0123abcd"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../x"}, {"id": None}, {"name": "a\nb"}, {"name": None}, {"notebook": 1}, {"saved_at": "now"},
        {"pod_kernel": "p\x1b"}, {"files": ["a"]}, {"files": {"a": 1}}, {"format": 2}, {"objects": 1}, {"session": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_another_version_has_written_is_refused(change: dict[str, Any]) -> None:
    fields = json.loads(SAVE.to_bytes()) | change
    with pytest.raises(WireError):
        Save.from_bytes(json.dumps(fields).encode())
