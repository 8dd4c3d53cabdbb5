"""Launch options of a kernel's interpreters, a part of wire version 2: one definition for both ends.

    PUT /api/v2/launch   kernel, kernelspec, reader   the body is a `Launch`; the answer {"launch": AS_ASKED or OTHER}

The agent keeps them with the kernel's name: each interpreter that it starts for that kernel from then on is as they
say. One that nobody has used, and that nobody else follows, gives way to another. A reader asks before it takes up a
session, and learns from the `Hello` what has become of it.
"""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import LAUNCH
from remote_kernel.core.numbers import Items, Pattern
from remote_kernel.core.wire.fields import from_fields

LAUNCH_PATH = "/api/v2/launch"

# `Hello.launch`: the interpreter is as it was asked for; or was started otherwise, has state, and stays as it is.
AS_ASKED = "as asked"
OTHER = "other"

MAX_LAUNCH_BYTES = LAUNCH.bytes or 0
MAX_STARTUP_BYTES = 64 * 1024
MAX_VARIABLES = LAUNCH.entries or 0
MAX_NAME_BYTES = 255


class _Text(NamedTuple):
    """Bounds of a text that a file system or an environment can have."""

    most_bytes: int

    def check(self, value: object, name: str) -> str:
        """Return the text; raises `WireError` for any other."""
        if not isinstance(value, str) or "\0" in value:
            raise WireError(f"{name} is no text as it may be")
        try:
            size = len(value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise WireError(f"{name} is not Unicode") from None
        if size > self.most_bytes:
            raise WireError(f"{name} has more than {self.most_bytes:,} bytes")
        return value


_NAME = Pattern(re.compile(r"[^=\x00-\x1f]{1,255}"))
_PATH = _Text(4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Options for the start of an interpreter. Paths are relative to the pod's data folder; "." is the folder itself.

    Attributes:
        workspace: folder that modules are imported from as well; "" for none.
        cwd: current folder, made where it is missing; "" for the data folder.
        notebook: path of the notebook, which need not be there; "" where nobody knows it.
        environ: variables on top of the pod's own.
        startup: code that runs before the first cell; at most `MAX_STARTUP_BYTES` in UTF-8.
        startup_name: name of its file, for tracebacks.
    """

    workspace: Annotated[str, _PATH] = ""
    cwd: Annotated[str, _PATH] = ""
    notebook: Annotated[str, _PATH] = ""
    environ: Annotated[
        dict[Annotated[str, _NAME], Annotated[str, _Text(MAX_LAUNCH_BYTES)]], Items(most=MAX_VARIABLES)
    ] = field(default_factory=dict, repr=False)
    startup: Annotated[str, _Text(MAX_STARTUP_BYTES)] = field(default="", repr=False)
    startup_name: Annotated[str, _Text(MAX_NAME_BYTES)] = ""

    def makes_same_as(self, other: "Launch") -> bool:
        """Return whether interpreters of both are alike, whatever their notebooks are called."""
        return replace(self, notebook="") == replace(other, notebook="")

    def to_bytes(self) -> bytes:
        """Return the body of the request."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Launch":
        """Read the body of a request; raises `WireError`, whose text holds no value."""
        launch: Launch = from_fields(cls, parse_json_object(data, LAUNCH))
        return launch
