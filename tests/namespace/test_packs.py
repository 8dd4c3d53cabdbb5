import itertools

import pytest

from remote_kernel.namespace.files.objects import Damaged
from remote_kernel.namespace.files.packs import (
    SMALL_BYTES,
    Group,
    Lost,
    Variable,
    decode_pack,
    encode_pack,
    shared_out,
)  # fmt: skip


def group(name: str, pickle: bytes) -> Group:
    buffers = [[("0" * 64, 5)], [("1" * 64, 4), ("2" * 64, 1)]]
    return Group([Variable(name, "int", 5, 4)], "cloudpickle", pickle, buffers, {"PIL": "2.4.6"}, {"PIL": "pillow"})


def test_pack_comes_back() -> None:
    groups = [group("a", b"first"), group("größe", b""), group("c", b"third")]
    lost = [Lost("log", "TextIOWrapper", None, "is an open file")]
    assert decode_pack(encode_pack(groups, lost)) == (groups, lost)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\2{}", b"\0\0\0\2[]", b"\xff\xff\xff\xff", b'\0\0\0\1{"groups'])
def test_what_is_no_pack_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode_pack(data)


def test_every_name_is_in_one_pack() -> None:
    names = [f"name_{number}" for number in range(10_000)]
    packs = list(shared_out((name, 10) for name in names))
    assert sorted(itertools.chain(*packs)) == sorted(names)
    assert 20 < len(packs) < 80


def test_a_large_group_is_alone() -> None:
    assert sorted(shared_out([("a", 1), ("b", SMALL_BYTES + 1), ("c", 1)])) == [["a", "c"], ["b"]]


def test_new_name_moves_no_other_end() -> None:
    names = [f"name_{number}" for number in range(10_000)]
    before = {tuple(pack) for pack in shared_out((name, 10) for name in names)}
    after = {tuple(pack) for pack in shared_out((name, 10) for name in [*names, "name_5000_new"])}
    assert len(after - before) <= 2
