"""Flavors of pools, by their addresses."""

import pytest

from remote_kernel.core.pools.flavor import has_interpreter_address


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://e.dynamicsessions.io/subscriptions/s/resourceGroups/g/sessionPools/p", True),
        ("https://e.dynamicsessions.io/SUBSCRIPTIONS/s/resourcegroups/g/SESSIONPOOLS/p", True),
        ("https://pool.env-id.eastus.azurecontainerapps.io", False),
        ("http://127.0.0.1:8000", False),
    ],
)
def test_built_in_pool_is_known_by_its_path(endpoint: str, expected: bool) -> None:
    assert has_interpreter_address(endpoint) == expected
