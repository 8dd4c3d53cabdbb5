"""Answers about a pod's files, as they come from outside."""

from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.files import (
    MAX_ENTRIES,
    Listing,
    Metadata,
    Received,
    RemoteEntry,
)

ENTRY = RemoteEntry(path="a/b.csv", is_folder=False, size=3, modified=1.5, version="v")
LISTING = Listing(pod="pod-1", entries=[ENTRY], next=0)
METADATA = Metadata(pod="pod-1", path="b.csv", is_folder=False, size=3, modified=1.5, version="v", sha256="")
RECEIVED = Received(pod="pod-1", bytes=3, is_complete=True, version="v")
ANSWERS = [LISTING, METADATA, RECEIVED]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_answer_is_read_as_it_was_written(answer: Any) -> None:
    assert type(answer).from_json(answer.to_json() | {"of a newer version": 1}) == answer


@pytest.mark.parametrize(
    "fields",
    [
        {"entries": None},
        {"entries": ["a"]},
        {"entries": LISTING.to_json()["entries"] * (MAX_ENTRIES + 1)},
        {"entries": [LISTING.to_json()["entries"][0] | {"size": -1}]},
        {"next": "2"},
        {"next": -1},
        {"pod": 7},
    ],
)
def test_listing_that_no_agent_says_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Listing.from_json(LISTING.to_json() | fields)


def test_what_says_nothing_of_versions_has_none() -> None:
    fields = RECEIVED.to_json()
    del fields["version"]
    assert Received.from_json(fields).version == ""


@pytest.mark.parametrize("missing", ["pod", "bytes", "is_complete"])
def test_field_that_is_missing_is_a_wire_error(missing: str) -> None:
    fields = RECEIVED.to_json()
    del fields[missing]
    with pytest.raises(WireError):
        Received.from_json(fields)
