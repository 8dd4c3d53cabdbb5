"""Launch options of a kernel's interpreters, a part of wire version 2: one definition for both ends.

    PUT /api/v2/launch   kernel, kernelspec, reader   the body is a `Launch`; the answer {"launch": AS_ASKED or OTHER}

The agent keeps them with the kernel's name: each interpreter that it starts for that kernel from then on is as they
say. One that nobody has used, and that nobody else follows, gives way to another. A reader asks before it takes up a
session, and learns from the `Hello` what has become of it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import LAUNCH

LAUNCH_PATH = "/api/v2/launch"

# `Hello.launch`: the interpreter is as it was asked for; or was started otherwise, has state, and stays as it is.
AS_ASKED = "as asked"
OTHER = "other"

MAX_LAUNCH_BYTES = LAUNCH.bytes or 0
MAX_STARTUP_BYTES = 64 * 1024
MAX_VARIABLES = LAUNCH.entries or 0
MAX_PATH_CHARS = 4096
MAX_NAME_CHARS = 255

_NAME = re.compile(r"[^=\x00-\x1f]{1,255}")


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

    workspace: str = ""
    cwd: str = ""
    notebook: str = ""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    startup: str = field(default="", repr=False)
    startup_name: str = ""

    def makes_same_as(self, other: "Launch") -> bool:
        """Return whether interpreters of both are alike, whatever their notebooks are called."""
        return replace(self, notebook="") == replace(other, notebook="")

    def to_bytes(self) -> bytes:
        """Return the body of the request."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Launch":
        """Read the body of a request; raises `WireError`, whose text holds no value."""
        fields = parse_json_object(data, LAUNCH)
        names = ("workspace", "cwd", "notebook")
        return cls(
            **{name: _text(fields.get(name, ""), name, MAX_PATH_CHARS) for name in names},
            environ=_variables(fields.get("environ", {})),
            startup=_text(fields.get("startup", ""), "startup", MAX_STARTUP_BYTES),
            startup_name=_text(fields.get("startup_name", ""), "startup_name", MAX_NAME_CHARS),
        )


def _text(value: object, name: str, most: int) -> str:
    """Return a text that a file system or an environment can have; raises `WireError`."""
    if not isinstance(value, str) or "\0" in value:
        raise WireError(f"the field {name!r} of a Launch is no text as it may be")
    try:
        size = len(value.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise WireError(f"the field {name!r} of a Launch is not Unicode") from None
    if size > most:
        raise WireError(f"the field {name!r} of a Launch has more than {most:,} bytes")
    return value


def _variables(value: object) -> dict[str, str]:
    """Return variables of an environment; raises `WireError`."""
    if not isinstance(value, dict) or len(value) > MAX_VARIABLES:
        raise WireError(f"the field 'environ' of a Launch is no object, or has more than {MAX_VARIABLES:,} variables")
    if not all(_NAME.fullmatch(name) for name in value):
        raise WireError("the field 'environ' of a Launch has a name that no variable has")
    return {name: _text(text, "environ", MAX_LAUNCH_BYTES) for name, text in value.items()}
