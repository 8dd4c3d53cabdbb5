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
from dataclasses import dataclass, field
from typing import Annotated

from remote_kernel.core.limits import SESSION
from remote_kernel.core.numbers import NAME, REMARK, Items, Pattern, Text
from remote_kernel.core.wire.fields import JsonAnswer

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

MARKERS = (
    "implementation_name", "implementation_version", "os_name", "platform_machine", "platform_python_implementation",
    "platform_release", "platform_system", "platform_version", "python_full_version", "python_version", "sys_platform",
)  # fmt: skip

_WORD = Pattern(re.compile(r"\w[\w.]{0,99}", re.ASCII))
_SHA256 = Pattern(re.compile(r"[0-9a-f]{64}"))
_WHEEL_OR_NONE = Pattern(re.compile(f"({WHEEL.pattern})?", re.ASCII))
_MARKER = Text(most=1000, is_name=True)
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
    python: Annotated[str, _WORD]
    implementation: Annotated[str, _WORD]
    abi: Annotated[str, _WORD]
    platforms: Annotated[list[Annotated[str, _WORD]], Items(most=MAX_PLATFORMS)]
    markers: Annotated[dict[Annotated[str, _MARKER], Annotated[str, _MARKER]], Items(most=len(MARKERS))]
    installer: Annotated[str, NAME]
    installed: Annotated[
        dict[Annotated[str, Pattern(DISTRIBUTION)], Annotated[str, NAME]], Items(most=SESSION.entries or 0)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that was sent: the name of its file, and its checksum in hex."""

    name: Annotated[str, Pattern(WHEEL)]
    sha256: Annotated[str, _SHA256]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(JsonAnswer):
    """Wheels to install.

    Attributes:
        installer: the name of a sent wheel of pip, to be run where the interpreter has nothing that installs.
    """

    wheels: Annotated[list[Wheel], Items(most=MAX_WHEELS)]
    installer: Annotated[str, _WHEEL_OR_NONE] = ""


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
    lines: Annotated[list[Annotated[str, _LINE]], Items(most=MAX_LINES, is_cut=True)] = field(default_factory=list)
    changes: Annotated[list[Change], Items(most=MAX_WHEELS)] = field(default_factory=list)
    missing: Annotated[list[Annotated[str, Pattern(WHEEL)]], Items(most=MAX_WHEELS)] = field(default_factory=list)
