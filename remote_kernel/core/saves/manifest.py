"""Manifest of a save: which objects it consists of, what made it, and what could not be saved.

The program in the interpreter writes it; so all of it comes from the pod, and is read within bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.numbers import COUNT, NAME, VERSION, Text
from remote_kernel.core.saves.objects import Object

FORMAT = 1

# Names of lost variables that stand in a manifest; the report of a restore has them all.
MAX_LOST = 50
MAX_LIBRARIES = 1000

_VARIABLE = Text(most=200)

# Objects of one piece of the content, in order.
Pack = tuple[Object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Manifest of a save.

    Attributes:
        python: version of the interpreter.
        implementation: its name, such as "cpython".
        libraries: versions of the libraries that saved variables are of, by name.
        execution_count: number of the last cell.
        packs: what holds the variables.
        objects: all objects, those of packs and those that packs refer to.
        saved: number of variables that were saved.
        lost: names of the first of the others.
        lost_count: number of the others.
    """

    python: str = ""
    implementation: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    execution_count: int = 0
    packs: tuple[Pack, ...] = ()
    objects: tuple[Object, ...] = ()
    saved: int = 0
    lost: tuple[str, ...] = ()
    lost_count: int = 0

    @property
    def bytes(self) -> int:
        """Size of the content, in bytes, before it is compressed."""
        return sum(each.size for each in self.objects)

    @property
    def variables(self) -> int:
        return self.saved + self.lost_count

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as the program has written it."""
        return {
            "format": FORMAT,
            "python": self.python,
            "implementation": self.implementation,
            "libraries": dict(self.libraries),
            "execution_count": self.execution_count,
            "packs": [{"objects": [list(each) for each in pack]} for pack in self.packs],
            "objects": [list(each) for each in self.objects],
            "saved": self.saved,
            "lost": list(self.lost),
            "lost_count": self.lost_count,
            "bytes": self.bytes,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Manifest":
        """Read a manifest; raises `WireError`. Unknown fields are left to newer versions."""
        if fields.get("format") != FORMAT:
            raise WireError("a save is of a format that this version does not know")
        objects = _objects(fields.get("objects"))
        sizes = dict(objects)
        packs = tuple(_pack(value) for value in _list(fields.get("packs"), MANIFEST.entries or 0, "packs"))
        if any(sizes.get(each.hash) != each.size for pack in packs for each in pack):
            raise WireError("a pack of a save has an object that is not in the list of objects")
        if len({pack[:1] for pack in packs}) != len(packs):
            raise WireError("two packs of a save begin alike")
        lost = _list(fields.get("lost"), MAX_LOST, "lost variables")
        return cls(
            python=VERSION.check(fields.get("python"), "a version"),
            implementation=NAME.check(fields.get("implementation"), "a name"),
            libraries=_libraries(fields.get("libraries")),
            execution_count=_count(fields, "execution_count"),
            packs=packs,
            objects=objects,
            saved=_count(fields, "saved"),
            lost=tuple(_VARIABLE.check(name, "a variable's name") for name in lost),
            lost_count=max(_count(fields, "lost_count"), len(lost)),
        )


def parse_manifest(data: bytes) -> Manifest:
    """Read the file that the program has written; raises `WireError`."""
    return Manifest.from_json(parse_json_object(data, MANIFEST))


def _list(value: object, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise WireError(f"the {what} of a save are not a list of at most {most:,}")
    return value


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        raise WireError(f"the field {name!r} of a save is not a number")
    return int(COUNT.check(value, name))


def _objects(value: object) -> tuple[Object, ...]:
    objects = tuple(map(Object.from_json, _list(value, MANIFEST.entries or 0, "objects")))
    if len({each.hash for each in objects}) != len(objects):
        raise WireError("a save names an object twice")
    return objects


def _pack(value: object) -> Pack:
    if not isinstance(value, Mapping):
        raise WireError("a pack of a save is not an object")
    return tuple(map(Object.from_json, _list(value.get("objects"), MANIFEST.entries or 0, "objects of a pack")))


def _libraries(value: object) -> dict[str, str]:
    """Return the libraries; "" for a version that cannot be compared: whatever a module calls its own costs no save."""
    if not isinstance(value, Mapping):
        raise WireError("the libraries of a save are not an object")
    known = ((name, version if _is_word(version) else "") for name, version in value.items() if name and _is_word(name))
    return dict(islice(known, MAX_LIBRARIES))


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= VERSION.most and value.isprintable()
