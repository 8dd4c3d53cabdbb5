"""Packs: a header in JSON that names groups of variables and what was lost, and the groups' pickles behind it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

from remote_kernel.namespace.files.objects import Damaged, Reference

# A pack ends behind a name whose hash ends in so many zeros, so that what is added in one place moves no other end.
CUT_BITS = 8
# What is larger has a pack of its own.
SMALL_BYTES = 256 << 10
MAX_PACK_BYTES = 4 << 20


@dataclass(frozen=True)
class Variable:
    """Variable of a group.

    Attributes:
        name: as in the namespace; with "@" before it, something that is around the variables.
        type: name of its class, for people.
        size: bytes of its pickle, alone.
        cell: number of the last cell that bound it; None if none is known to have done so.
    """

    name: str
    type: str
    size: int
    cell: int | None


@dataclass(frozen=True)
class Lost:
    """Variable that could not be saved or restored, and one sentence with the reason."""

    name: str
    type: str
    cell: int | None
    reason: str


@dataclass(frozen=True)
class Group:
    """Variables that share objects, in one pickle.

    Attributes:
        variables: in the order of the pickle's list.
        serialiser: "cloudpickle" or "dill".
        pickle: a list of the values, by protocol 5.
        buffers: what is out of band, in order.
        requires: top-level modules that are not Python's own, and their versions.
        distributions: names by which pip knows those of `requires` that it knows by another name.
        wants: variables of other groups whose functions or classes the pickle names.
    """

    variables: Sequence[Variable]
    serialiser: str
    pickle: bytes
    buffers: Sequence[Sequence[Reference]] = ()
    requires: dict[str, str] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)
    wants: Sequence[str] = ()


def encode_pack(groups: Sequence[Group], lost: Sequence[Lost]) -> bytes:
    """Return a pack: 4 bytes with the length of the header, the header, the pickles."""
    offset, shown = 0, []
    for group in groups:
        shown.append(
            {
                "variables": [asdict(variable) for variable in group.variables],
                "serialiser": group.serialiser,
                "pickle": [offset, len(group.pickle)],
                "buffers": group.buffers,
                "requires": group.requires,
                "distributions": group.distributions,
                "wants": group.wants,
            }
        )
        offset += len(group.pickle)
    header = json.dumps({"groups": shown, "lost": [asdict(each) for each in lost]}).encode()
    return b"".join([len(header).to_bytes(4, "big"), header, *(group.pickle for group in groups)])


def decode_pack(data: bytes | bytearray) -> tuple[list[Group], list[Lost]]:
    """Return what `encode_pack` was given; `Damaged` if it is no pack."""
    start = 4 + int.from_bytes(data[:4], "big")
    try:
        header = json.loads(data[4:start])
        payload = memoryview(data)[start:]
        return [_group(each, payload) for each in header["groups"]], [Lost(**each) for each in header["lost"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"a pack of variables cannot be read: {error}") from None


def _group(shown: dict[str, Any], payload: memoryview) -> Group:
    offset, length = shown["pickle"]
    return Group(
        variables=[Variable(**each) for each in shown["variables"]],
        serialiser=shown["serialiser"],
        pickle=bytes(payload[offset : offset + length]),
        buffers=[[(name, size) for name, size in each] for each in shown["buffers"]],
        requires=shown["requires"],
        distributions=shown.get("distributions", {}),
        wants=tuple(shown.get("wants", ())),
    )


def shared_out(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Yield the names that share a pack, of pairs of a group's first name and its bytes, in the order of the names.

    A group that is not small is alone. Else the names decide, so that another value changes one pack and no more.
    """
    names: list[str] = []
    total = 0
    for name, size in sorted(sizes):
        if size > SMALL_BYTES:
            yield [name]
            continue
        names.append(name)
        total += size
        if is_cut(name) or total > MAX_PACK_BYTES:
            yield names
            names, total = [], 0
    if names:
        yield names


def is_cut(name: str) -> bool:
    """Return whether a pack ends behind this name."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).digest()[0] >> (8 - CUT_BITS) == 0
