"""Headers of packs: which variables are in them, and what these need."""

import json
from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.saves.objects import Object
from remote_kernel.core.saves.packs import PackHeader, header_bytes, parse_contents, wanted_with
from remote_kernel.core.wire.saves import Lost, Restored
from remote_kernel.namespace.files import packs

FIRST, SECOND = Object("a" * 64, 10), Object("b" * 64, 20)


def group(*names: str, buffers: Any = ()) -> dict[str, Any]:
    return {"variables": [{"name": name} for name in names], "buffers": buffers}


HEADER = {
    "groups": [
        group("x", "y", buffers=[[list(FIRST)], [list(SECOND), list(FIRST)]]),
        group("z"),
        group("@history", buffers=[[list(SECOND)]]),
    ],
    "lost": [{"name": "generator"}],
}


def pack_of(header: Any, payload: bytes = b"pickles") -> bytes:
    data = json.dumps(header).encode()
    return len(data).to_bytes(4, "big") + data + payload


def test_the_header_is_there_once_enough_has_come() -> None:
    pack = pack_of(HEADER)
    length = len(pack) - len(b"pickles")
    for end in range(len(pack)):
        assert (header_bytes(pack[:end]) is not None) == (end >= length)
    assert header_bytes(pack) == pack[4:length]


def test_a_header_that_is_longer_than_any_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="too long"):
        header_bytes(b"\xff\xff\xff\xff")


def test_variables_need_the_objects_of_their_groups() -> None:
    header = PackHeader.from_bytes(json.dumps(HEADER).encode())
    assert header.names == {"x", "y", "z", "@history", "generator"}
    assert header.buffers_of(["y", "other"]) == [FIRST, SECOND, FIRST]
    assert header.buffers_of(["z"]) == []
    assert header.buffers_of(["generator"]) is None


def test_variables_come_with_those_that_they_cannot_do_without() -> None:
    first = {"groups": [group("model") | {"wants": ["Model"]}, group("other")], "lost": []}
    second = {"groups": [group("Model", "Base") | {"wants": ["mixin", "gone"]}, group("mixin")], "lost": []}
    headers = [PackHeader.from_bytes(json.dumps(header).encode()) for header in (first, second)]
    assert wanted_with(["model"], headers) == {"model", "Model", "mixin", "gone"}
    assert wanted_with(["other"], headers) == {"other"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"groups": {}},
        {"groups": [], "lost": 1},
        {"groups": [1], "lost": []},
        {"groups": [{"variables": [{}], "buffers": []}], "lost": []},
        {"groups": [group("x", buffers=[[["..", 1]]])], "lost": []},
        {"groups": [group("x", buffers=[1])], "lost": []},
        {"groups": [group("x") | {"wants": 1}], "lost": []},
    ],
)
def test_a_header_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(WireError):
        PackHeader.from_bytes(json.dumps(wrong).encode())


def test_a_pack_of_the_interpreter_s_tells_its_variables_and_what_was_lost() -> None:
    around = packs.Group([packs.Variable("@random", "tuple", 9, None)], "dill", b"state")
    group = packs.Group([packs.Variable("a", "int", 5, 3)], "dill", b"pickle")
    lost = [packs.Lost("rows", "generator", None, "is a generator"), packs.Lost("@history", "", None, "is too large")]
    header = header_bytes(packs.encode_pack([around, group], lost))
    assert header is not None
    told = parse_contents(header)
    assert told.restored == [Restored(name="a", type="int", cell=3)]
    assert told.lost == [Lost(name="rows", type="generator", reason="is a generator")]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"groups": {}, "lost": []},
        {"groups": [1], "lost": []},
        {"groups": [{"variables": [1]}], "lost": []},
        {"groups": [{"variables": [{"name": 1, "type": "int"}]}], "lost": []},
        {"groups": [], "lost": [{"name": "a"}]},
        {"groups": [], "lost": [{"name": "a", "type": "int", "cell": -1, "reason": ""}]},
    ],
)
def test_contents_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(WireError):
        parse_contents(json.dumps(wrong).encode())
