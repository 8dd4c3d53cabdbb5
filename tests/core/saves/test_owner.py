"""Owners of saves: folders, keys, and files that only their owner can have written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.saves.owner import Owner
from tests.core.saves.examples import KEY, OWNER

DATA = b'{"id":"0123abcd"}'

OTHERS = [
    Owner.of(KEY, user="eve", notebook="/home/ada/report.ipynb", pod_kernel="python3"),
    Owner.of(KEY, user="ada", notebook="/home/ada/other.ipynb", pod_kernel="python3"),
    Owner.of(KEY, user="ada", notebook="/home/ada/report.ipynb", pod_kernel="ir"),
    Owner.of(KEY, user="ada", notebook="/home/ada/report.ipynbpython3", pod_kernel=""),
    Owner.of(bytes(32), user="ada", notebook="/home/ada/report.ipynb", pod_kernel="python3"),
]


def test_an_owner_is_the_same_everywhere_and_its_folder_says_nothing_of_it() -> None:
    again = Owner.of(KEY, user="ada", notebook="/home/ada/report.ipynb", pod_kernel="python3")
    assert again == OWNER
    assert len(OWNER.folder) == 32
    assert set(OWNER.folder) <= set("0123456789abcdef")
    assert OWNER.key.hex() not in repr(OWNER)


def test_accents_of_a_notebook_s_name_may_be_written_either_way() -> None:
    composed, decomposed = (Owner.of(KEY, user="a", notebook=name, pod_kernel="") for name in ("\u00e9", "e\u0301"))
    assert composed == decomposed


def test_every_owner_has_a_folder_and_a_key_of_its_own() -> None:
    owners = [OWNER, *OTHERS]
    assert len({owner.folder for owner in owners}) == len({owner.key for owner in owners}) == len(owners)


def test_an_owner_is_known_by_its_folder_to_who_has_the_key() -> None:
    assert Owner.from_folder(KEY, OWNER.folder) == OWNER
    assert Owner.from_folder(bytes(32), OWNER.folder) is None


@pytest.mark.parametrize("name", ["", "lost+found", "a" * 32, OWNER.folder[:-1], OWNER.folder + "0", "\udc80"])
def test_other_folders_are_nobody_s(name: str) -> None:
    assert Owner.from_folder(KEY, name) is None


@given(st.binary(max_size=100))
def test_what_was_sealed_is_unsealed(data: bytes) -> None:
    assert OWNER.unseal(OWNER.seal(data)) == data


def test_the_file_of_a_save_is_json() -> None:
    assert json.loads(OWNER.seal(DATA))["save"] == json.loads(DATA)


@given(st.integers(0, len(OWNER.seal(DATA)) - 1), st.integers(1, 255))
def test_a_file_with_any_byte_changed_is_refused(place: int, change: int) -> None:
    file = bytearray(OWNER.seal(DATA))
    file[place] ^= change
    with pytest.raises(WireError, match="changed"):
        OWNER.unseal(bytes(file))


@given(st.integers(0, len(OWNER.seal(DATA)) - 1), st.binary(max_size=3))
def test_a_file_that_is_cut_or_goes_on_is_refused(end: int, more: bytes) -> None:
    with pytest.raises(WireError):
        OWNER.unseal(OWNER.seal(DATA)[:end] + more[: len(OWNER.seal(DATA)) - end - 1])
    with pytest.raises(WireError):
        OWNER.unseal(OWNER.seal(DATA) + b"\n" + more)


@pytest.mark.parametrize("other", OTHERS, ids=["user", "notebook", "kernel", "joined", "key"])
def test_a_file_of_another_owner_is_refused(other: Owner) -> None:
    with pytest.raises(WireError, match="another user or notebook"):
        OWNER.unseal(other.seal(DATA))
