"""The base: written, read, compared."""

import pytest

from remote_kernel.core.workspace.base import Agreed, Base
from remote_kernel.core.workspace.plan import Change

STAMP = (0o100644, 7, 3, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789)


def test_a_base_is_read_as_it_was_written() -> None:
    base = Base(
        "pod-1",
        {"a é\udcff": Agreed("00", STAMP, "v1", is_racy=True), "b": Agreed("01", STAMP, "")},
        folders={"out"},
        environments={"env"},
    )
    assert Base.from_json(base.to_json()) == base


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "pod": "", "files": [[1]]}'])
def test_what_is_no_base_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Base.from_json(text)


def test_a_version_says_how_a_file_has_changed_there() -> None:
    base = Base("pod-1", {"a": Agreed("00", STAMP, "v1"), "gone": Agreed("00", STAMP, "")})
    assert base.change_there("a", "v1") is Change.SAME
    assert base.change_there("a", "v2") is Change.CHANGED
    assert base.change_there("a", "") is Change.GONE
    assert base.change_there("gone", "") is Change.SAME
    assert base.change_there("gone", "v2") is Change.CHANGED
    assert base.change_there("new", "v1") is Change.CHANGED
    assert base.change_there("new", "") is Change.NEVER
