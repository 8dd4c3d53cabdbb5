"""Packages of a pod's interpreter, a part of wire version 2: one definition for both ends.

    GET  /api/v2/packages   kernelspec                the interpreter and what is installed for it: `Packages`
    POST /api/v2/packages   kernelspec, job, pod      the body is an `Order`; answered with `Installed`

Both speak of the interpreter that a kernelspec starts, and run it as a process of its own. What is installed lies in a
folder of the pod that is on the path of every interpreter of that kernelspec, before what the image has: the image is
not changed, what runs finds what is new, and all of it goes with the pod.

Wheels are sent before, as files, into `WHEELS_FOLDER` of the data folder. `job` is a name that the client makes up for
one order: the answer comes after `WAIT_SECONDS` at the latest, and who has been told that it is not done asks again
with the same name. Orders are executed one after the other, and none installs what is there already.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import SESSION
from remote_kernel.core.numbers import NAME, REMARK, Text
from remote_kernel.core.wire.fields import JsonAnswer, from_fields

# In the data folder, where uploads go; hidden, as it is nothing of the user's.
WHEELS_FOLDER = ".packages"

# A bridge looks for news every second, and does nothing else for a request that waits.
WAIT_SECONDS = 1.5

# More than the largest distributions of scientific Python have.
MAX_WHEELS = 1_000
MAX_PLATFORMS = 500
MAX_LINES = 20

# How names are compared (PyPA, "Names and normalization"), and the names of wheels' files.
DISTRIBUTION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")
WHEEL = re.compile(r"(?P<name>\w[\w.]*)-(?P<version>\w[\w.!+]*)(?:-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl", re.ASCII)

_PLATFORM = re.compile(r"\w[\w.]{0,99}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINE = Text(most=500)


def normalized(name: str) -> str:
    """Return the name of a distribution as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(JsonAnswer):
    """An interpreter, and what is installed for it.

    Attributes:
        python: its version, such as "3.12.4".
        implementation: as in the tags of wheels: "cp" for CPython.
        abi: as in the tags of wheels: "cp312".
        platforms: as in the tags of wheels, best first: "manylinux_2_36_x86_64".
        markers: what requirements may ask of it (PyPA, "Environment markers").
        installer: what can unpack wheels there, such as "pip 24.0"; "" for nothing.
        installed: versions by normalized name.
    """

    pod: Annotated[str, NAME]
    python: Annotated[str, NAME]
    implementation: Annotated[str, NAME]
    abi: Annotated[str, NAME]
    platforms: list[str]
    markers: dict[str, str]
    installer: Annotated[str, NAME]
    installed: dict[str, str]

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an answer, of which some goes into command lines here; raises `WireError`."""
        packages: Self = from_fields(cls, value)
        words = (packages.python, packages.implementation, packages.abi, *packages.platforms)
        if len(packages.platforms) > MAX_PLATFORMS or not all(_is(_PLATFORM, word) for word in words):
            raise WireError("an interpreter of a platform that nothing has")
        if not _are_versions(packages.installed) or len(packages.installed) > (SESSION.entries or 0):
            raise WireError("an interpreter with packages that nothing has")
        if len(packages.markers) > len(MARKERS) or not _are_texts(packages.markers):
            raise WireError("an interpreter with markers that nothing has")
        return packages


MARKERS = (
    "implementation_name", "implementation_version", "os_name", "platform_machine", "platform_python_implementation",
    "platform_release", "platform_system", "platform_version", "python_full_version", "python_version", "sys_platform",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that was sent: the name of its file, and its checksum in hex."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(JsonAnswer):
    """Wheels to install.

    Attributes:
        installer: the name of a sent wheel of pip, to be run where the interpreter has nothing that installs.
    """

    wheels: list[Wheel]
    installer: str = ""

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an order; raises `WireError`, also for what is no wheel's name."""
        fields = value if isinstance(value, Mapping) else {}
        wheels = fields.get("wheels")
        if not isinstance(wheels, list) or len(wheels) > MAX_WHEELS:
            raise WireError("an order has no wheels, or too many")
        order: Self = from_fields(cls, {**fields, "wheels": [from_fields(Wheel, wheel) for wheel in wheels]})
        names = [wheel.name for wheel in order.wheels] + ([order.installer] if order.installer else [])
        if not all(_is(WHEEL, name) for name in names) or not all(_is(_SHA256, wheel.sha256) for wheel in order.wheels):
            raise WireError("an order has a wheel that is none")
        return order


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A distribution that an order has installed: its version before, "" where it was not there, and now."""

    name: Annotated[str, NAME]
    before: Annotated[str, NAME]
    after: Annotated[str, NAME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed(JsonAnswer):
    """State of an order.

    Attributes:
        problem: why it has failed, in one sentence; "" where it has not.
        lines: the last that the installer had to say of that.
        changes: what has been installed.
        missing: wheels that are not there, or are others, so that nothing was done.
    """

    pod: Annotated[str, NAME]
    is_done: bool
    problem: Annotated[str, REMARK] = ""
    lines: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an answer; raises `WireError`."""
        fields = value if isinstance(value, Mapping) else {}
        lines, changes, missing = (fields.get(name) for name in ("lines", "changes", "missing"))
        if not (isinstance(lines, list) and isinstance(changes, list) and isinstance(missing, list)):
            raise WireError("an order has no state")
        if max(len(changes), len(missing)) > MAX_WHEELS or not all(_is(WHEEL, name) for name in missing):
            raise WireError("an order of more than was asked for")
        said = [_LINE.check(line, "a line") for line in lines[:MAX_LINES]]
        read = [from_fields(Change, change) for change in changes]
        installed: Self = from_fields(cls, {**fields, "lines": said, "changes": read})
        return installed


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _are_texts(values: Mapping[str, object]) -> bool:
    return all(isinstance(text, str) and len(text) <= 1000 for pair in values.items() for text in pair)


def _are_versions(versions: Mapping[str, object]) -> bool:
    return all(
        _is(DISTRIBUTION, name) and isinstance(version, str) and len(version) <= NAME.most and version.isprintable()
        for name, version in versions.items()
    )
