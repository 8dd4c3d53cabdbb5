"""Environments and the runtime file of their local pools."""

import json

import pytest

from remote_kernel.core.pools.local_pool import Environment, RunningPool, environment_name, is_local

HERE = Environment(prefix="/v", executable="/v/bin/python", version="1.0")
POOL = RunningPool(endpoint="http://127.0.0.1:8000", token="t", pid=7, python="/v/bin/python", version="1.0")


@pytest.mark.parametrize(
    "other",
    [
        Environment(prefix="/w", executable="/v/bin/python", version="1.0"),
        Environment(prefix="/v", executable="/v/bin/python3", version="1.0"),
        Environment(prefix="/v", executable="/v/bin/python", version="1.1"),
    ],
)
def test_environments_that_differ_in_anything_have_different_pools(other: Environment) -> None:
    assert other.endpoint != HERE.endpoint


def test_environment_is_found_in_what_stands_for_its_pool() -> None:
    assert is_local(HERE.endpoint)
    assert environment_name(HERE.endpoint) == HERE.name
    assert is_local("")
    assert not is_local("http://127.0.0.1:8000")


def test_path_that_is_no_text_has_a_name() -> None:
    assert Environment(prefix="/caf\udcc3", executable="/p", version="1").name


def test_runtime_file_is_read_as_it_was_written_and_its_token_is_not_shown() -> None:
    assert RunningPool.from_json(json.loads(POOL.to_json())) == POOL
    assert POOL.address == ("127.0.0.1", 8000)
    assert "'t'" not in repr(POOL)


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint": "https://127.0.0.1:8000"},
        {"endpoint": "http://127.0.0.1:port"},
        {"endpoint": 7},
        {"token": ""},
        {"token": None},
        {"pid": "7"},
        {"pid": True},
        {"pid": 0},
        {"pid": -1},
        {"pid": 10**30},
    ],
)
def test_file_that_is_strange_is_none(fields: dict[str, object]) -> None:
    assert RunningPool.from_json(json.loads(POOL.to_json()) | fields) is None


@pytest.mark.parametrize("value", [None, [], {}])
def test_file_without_a_pool_is_none(value: object) -> None:
    assert RunningPool.from_json(value) is None
