"""Manifests: what a pod may say in one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core import limits
from remote_kernel.core.errors import WireError
from remote_kernel.core.saves.manifest import MAX_LIBRARIES, MAX_LOST, Manifest, parse_manifest
from tests.core.saves.examples import MANIFEST, manifest_of, object_of


def as_file(manifest: Manifest) -> bytes:
    return json.dumps(manifest.to_json()).encode()


@pytest.mark.parametrize("manifest", [MANIFEST, Manifest(), manifest_of(b"a", b"b", b"c", lost=(), lost_count=0)])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert parse_manifest(as_file(manifest)) == manifest


def test_a_manifest_tells_its_size_and_number_of_variables() -> None:
    assert MANIFEST.bytes == 250 + 256
    assert MANIFEST.variables == 15


HOSTILE: list[Callable[[dict[str, Any]], Any]] = [
    lambda fields: fields.update(format=2),
    lambda fields: fields.update(python="3.11\x1b[2J"),
    lambda fields: fields.update(python="3" * 200),
    lambda fields: fields.update(implementation=None),
    lambda fields: fields.update(execution_count=-1),
    lambda fields: fields.update(execution_count=1.5),
    lambda fields: fields.update(execution_count=True),
    lambda fields: fields.update(execution_count=10**40),
    lambda fields: fields.update(saved="many"),
    lambda fields: fields.update(libraries=["numpy"]),
    lambda fields: fields.update(lost=["x"] * (MAX_LOST + 1)),
    lambda fields: fields.update(lost=[1]),
    lambda fields: fields.update(lost="x"),
    lambda fields: fields.update(packs=None),
    lambda fields: fields.update(packs=[[]]),
    lambda fields: fields["packs"].append({"objects": [["f" * 64, 1]]}),
    lambda fields: fields["packs"].append({"objects": [[fields["objects"][0][0], 1]]}),
    lambda fields: fields["packs"].append({"objects": [["../../identity.key", 1]]}),
    lambda fields: fields["packs"].append(fields["packs"][0]),
    lambda fields: fields.update(objects=None),
    lambda fields: fields["objects"].append(fields["objects"][0]),
    lambda fields: fields["objects"].append([fields["objects"][0][0], 7]),
    lambda fields: fields["objects"].append(["e" * 64, 5 << 20]),
    lambda fields: fields.pop("objects"),
]


@pytest.mark.parametrize("change", HOSTILE)
def test_what_no_program_of_ours_writes_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    fields = MANIFEST.to_json()
    change(fields)
    with pytest.raises(WireError):
        parse_manifest(json.dumps(fields).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b'{"format": NaN}', b"[" * 100_000, b"\xff"])
def test_what_is_no_object_of_json_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_manifest(data)


def test_more_objects_than_any_save_has_are_refused() -> None:
    one = [["a" * 64, 1]] * ((limits.MANIFEST.entries or 0) + 1)
    with pytest.raises(WireError, match="200,000"):
        Manifest.from_json(MANIFEST.to_json() | {"objects": one})


def test_names_of_lost_variables_have_no_control_characters_and_an_end() -> None:
    fields = MANIFEST.to_json() | {"lost": ["a\x1b]0;title\x07", "b\u202egpj", "c" * 1000]}
    assert Manifest.from_json(fields).lost == ("a]0;title", "bgpj", "c" * 200)


@pytest.mark.parametrize("version", ["1.0\n", "1" * 200, "\x1b[2J", "\udc80", 2, None])
def test_a_version_that_is_none_is_not_known_and_costs_no_save(version: object) -> None:
    manifest = Manifest.from_json(MANIFEST.to_json() | {"libraries": {"odd": version, "numpy": "2.4.6", "own": ""}})
    assert manifest.libraries == {"odd": "", "numpy": "2.4.6", "own": ""}


def test_libraries_are_names_and_no_more_than_a_thousand() -> None:
    many = {"": "1", "num\npy": "2", "x" * 200: "3"} | {str(number): "1" for number in range(MAX_LIBRARIES + 1)}
    libraries = Manifest.from_json(MANIFEST.to_json() | {"libraries": many}).libraries
    assert list(libraries) == [str(number) for number in range(MAX_LIBRARIES)]


def test_a_manifest_counts_no_fewer_lost_variables_than_it_names() -> None:
    assert Manifest.from_json(MANIFEST.to_json() | {"lost": ["a", "b"], "lost_count": 0}).lost_count == 2


def test_fields_of_newer_versions_are_left_to_them() -> None:
    assert Manifest.from_json(MANIFEST.to_json() | {"more": 1}) == MANIFEST


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(MANIFEST.to_json())), _JSON)
def test_any_value_of_any_field_is_read_or_refused(name: str, value: object) -> None:
    try:
        manifest = Manifest.from_json(MANIFEST.to_json() | {name: value})
    except WireError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_examples_are_their_objects() -> None:
    assert MANIFEST.objects[0] == object_of(b"pack " * 50)
