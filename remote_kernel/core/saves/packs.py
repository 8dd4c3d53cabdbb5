"""Packs: what a save's variables are in. Their headers say which; nothing else in them is read on this machine.

A pack is four bytes, most significant first, with the length of its header, the header in JSON, and the pickles.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import PACK_HEADER
from remote_kernel.core.saves.objects import Object
from remote_kernel.core.wire.saves import Report

_LENGTH_BYTES = 4

# Before the names of what is around the variables, such as the state of `random`.
MARK = "@"


def header_bytes(content: bytes | bytearray) -> bytes | None:
    """Return the header of a pack, given the beginning of its content; `None` where more of it is needed.

    Raises:
        WireError: it says that it is longer than it may be.
    """
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")
    if end - _LENGTH_BYTES > (PACK_HEADER.bytes or 0):
        raise WireError("the header of a pack of a save is too long")
    return bytes(content[_LENGTH_BYTES:end]) if _LENGTH_BYTES <= len(content) >= end else None


class PackGroup(NamedTuple):
    """Variables that belong together.

    Attributes:
        names: of the variables.
        buffers: objects that are theirs beside the pack's.
        wants: names of variables in other groups that they cannot do without.
    """

    names: frozenset[str]
    buffers: tuple[Object, ...]
    wants: frozenset[str]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "PackGroup":
        """Read a group; raises `WireError`, and what objects of another kind raise."""
        names = frozenset(str(each["name"]) for each in fields["variables"])
        buffers = tuple(Object.from_json(each) for buffer in fields["buffers"] for each in buffer)
        return cls(names, buffers, frozenset(map(str, fields.get("wants", ()))))


@dataclass(frozen=True, slots=True)
class PackHeader:
    """Header of a pack.

    Attributes:
        groups: what is in the pack.
        lost: names of variables that were not saved.
    """

    groups: tuple[PackGroup, ...]
    lost: frozenset[str]

    @classmethod
    def from_bytes(cls, header: bytes) -> "PackHeader":
        """Read a header; raises `WireError`."""
        fields = parse_json_object(header, PACK_HEADER)
        try:
            groups = tuple(map(PackGroup.from_json, fields["groups"]))
            return cls(groups, frozenset(str(each["name"]) for each in fields["lost"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise WireError("a pack of a save has another header than it should") from error

    @property
    def names(self) -> set[str]:
        return set(self.lost).union(*(group.names for group in self.groups))

    def buffers_of(self, names: Collection[str]) -> list[Object] | None:
        """Return the objects that variables need beside the pack's; `None` where none of them is in the pack."""
        groups = [group.buffers for group in self.groups if not group.names.isdisjoint(names)]
        return [each for buffers in groups for each in buffers] if groups else None


def wanted_with(names: Collection[str], headers: Iterable[PackHeader]) -> set[str]:
    """Return variables, and those in all packs that they cannot do without."""
    group_of = {name: group for header in headers for group in header.groups for name in group.names}
    wanted: set[str] = set()
    left = [*names]
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += group_of[name].wants if name in group_of else ()
    return wanted


def parse_contents(header: bytes) -> Report:
    """Return what would be restored of a pack, without what is around the variables; raises `WireError`."""
    fields = parse_json_object(header, PACK_HEADER)
    groups = fields.get("groups")
    if not isinstance(groups, list):
        raise WireError("the groups in a pack of a save are no list")
    lists = [group.get("variables") if isinstance(group, Mapping) else None for group in groups]
    variables = [variable for each in lists for variable in (each if isinstance(each, list) else [None])]
    told = Report.from_json({"restored": variables, "lost": fields.get("lost")})
    return replace(
        told,
        restored=[each for each in told.restored if not each.name.startswith(MARK)],
        lost=[each for each in told.lost if not each.name.startswith(MARK)],
    )
