"""Packs: what a save's variables are in. Their headers say which; nothing else in them is read on this machine.

A pack is four bytes, most significant first, with the length of its header, the header in JSON, and the pickles.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class PackHeader:
    """Header of a pack.

    Attributes:
        groups: names of variables that belong together, and the objects that are theirs beside the pack's.
        lost: names of variables that were not saved.
    """

    groups: tuple[tuple[frozenset[str], tuple[Object, ...]], ...]
    lost: frozenset[str]

    @classmethod
    def from_bytes(cls, header: bytes) -> "PackHeader":
        """Read a header; raises `WireError`."""
        fields = parse_json_object(header, PACK_HEADER)
        try:
            groups = tuple(_group(each) for each in fields["groups"])
            return cls(groups, frozenset(str(each["name"]) for each in fields["lost"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise WireError("a pack of a save has another header than it should") from error

    @property
    def names(self) -> set[str]:
        """The names of all variables."""
        return set(self.lost).union(*(names for names, _ in self.groups))

    def buffers_of(self, names: Collection[str]) -> list[Object] | None:
        """Return the objects that variables need beside the pack's; `None` where none of them is in the pack."""
        groups = [buffers for found, buffers in self.groups if not found.isdisjoint(names)]
        return [each for buffers in groups for each in buffers] if groups else None


def _group(fields: Mapping[str, Any]) -> tuple[frozenset[str], tuple[Object, ...]]:
    names = frozenset(str(each["name"]) for each in fields["variables"])
    return names, tuple(Object.from_json(each) for buffer in fields["buffers"] for each in buffer)


def parse_contents(header: bytes) -> Report:
    """Return what would be restored of a pack, without what is around the variables; raises `WireError`."""
    fields = parse_json_object(header, PACK_HEADER)
    groups = fields.get("groups")
    if not isinstance(groups, list):
        raise WireError("the groups in a pack of a save are no list")
    lists = [group.get("variables") if isinstance(group, Mapping) else None for group in groups]
    variables = [variable for each in lists for variable in (each if isinstance(each, list) else [None])]
    told = Report.from_json({"restored": variables, "lost": fields.get("lost")})
    return Report(
        restored=[each for each in told.restored if not each.name.startswith(MARK)],
        lost=[each for each in told.lost if not each.name.startswith(MARK)],
        warnings=[],
        conflicts=[],
    )
