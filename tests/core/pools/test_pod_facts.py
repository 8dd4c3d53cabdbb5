"""Descriptions of pods, as they come from outside."""

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import SESSION
from remote_kernel.core.pools.pod_facts import PodFacts

FACTS = PodFacts(
    pod="pod-1",
    kernels=1,
    age_seconds=1.5,
    memory_bytes=1,
    total_memory_bytes=2,
    cpus=1,
    packages={"numpy": "2.1"},
)


def test_facts_are_read_as_they_were_written() -> None:
    assert PodFacts.from_json(FACTS.to_json()) == FACTS


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        FACTS.to_json() | {"cpus": "many"},
        FACTS.to_json() | {"memory_bytes": -1},
        FACTS.to_json() | {"packages": {"numpy": 2}},
        FACTS.to_json() | {"packages": {str(number): "1" for number in range((SESSION.entries or 0) + 1)}},
    ],
)
def test_facts_that_no_pod_has_are_refused(value: object) -> None:
    with pytest.raises(WireError):
        PodFacts.from_json(value)
