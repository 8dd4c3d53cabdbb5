"""One kernel for each way to a pod, and the tests that a way cannot pass."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.contract.ways import MISSING, NAMES, Pools, Way, open_way


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    with ExitStack() as stack:
        yield Pools(stack)


@pytest.fixture(scope="module", params=NAMES)
def way(request: pytest.FixtureRequest, pools: Pools) -> Iterator[Way]:
    with open_way(request.param, pools) as way:
        yield way


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        missing = MISSING.get(callspec.params.get("way", ""), {}) if callspec else {}
        for mark in item.iter_markers("needs"):
            for what in mark.args:
                if what in missing:
                    item.add_marker(pytest.mark.xfail(reason=f"{what}: {missing[what]}", run=False))
