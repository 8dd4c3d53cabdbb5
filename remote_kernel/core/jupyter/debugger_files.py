"""Cells' files in the debugger's messages, under a name that never changes.

A front end asks once where the files of cells are (`debugInfo`), computes from each cell's text what its file is
called, and sets breakpoints there. Interpreters have a folder of their own for these files, with the process id in its
name. So that a front end can be told before there is an interpreter, and its breakpoints outlive one, it is told
`PREFIX`, which no file has; the agent puts the folder of the interpreter in its place, and back, in these messages.

Source: "Debug request" in "Messaging in Jupyter"; the Debug Adapter Protocol.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import parse_object

# JupyterLab writes "Cell [3]" for a file only with ipykernel's word in its path.
PREFIX = "/remote-kernel/ipykernel_cells/"
SUFFIX = ".py"

# How ipykernel makes a name of a cell's text, since its first debugger. Whatever does it otherwise is left alone.
HASH_METHOD = "Murmur2"
HASH_SEED = 0xC70F6907

# Where the protocol has paths. What code and values hold is the user's, and is not touched.
_FIELDS = frozenset({"path", "source", "sourcePath", "tmpFilePrefix"})

Parts = tuple[bytes, ...]


class CellFiles(NamedTuple):
    """Translates between `PREFIX` and the folder of one interpreter.

    Attributes:
        folder: the interpreter's own prefix; "" where there is none to translate.
    """

    folder: str = ""

    @classmethod
    def from_debug_info(cls, content: Mapping[str, Any]) -> "CellFiles":
        """Read the interpreter's own answer to `debugInfo`, which may be that of another kernel, or of no debugger."""
        body = content.get("body")
        if not isinstance(body, Mapping):
            return cls()
        naming = tuple(body.get(name) for name in ("hashMethod", "hashSeed", "tmpFileSuffix"))
        folder = body.get("tmpFilePrefix")
        is_known = naming == (HASH_METHOD, HASH_SEED, SUFFIX) and isinstance(folder, str) and folder.startswith("/")
        return cls(str(folder)) if is_known else cls()

    def inward(self, parts: Parts) -> Parts:
        """Return a front end's message as the interpreter understands it."""
        return _translate(parts, PREFIX, self.folder) if self.folder else parts

    def outward(self, parts: Parts) -> Parts:
        """Return the interpreter's message as a front end understands it."""
        return _translate(parts, self.folder, PREFIX) if self.folder else parts


def is_debugger_s(header_part: bytes) -> bool:
    """Return whether a kernel's message is one of its debugger."""
    return b'"debug_reply"' in header_part or b'"debug_event"' in header_part


def _translate(parts: Parts, old: str, new: str) -> Parts:
    try:
        content = parse_object(parts[3])
        if not _rename(content, old, new):
            return parts
        return (*parts[:3], json.dumps(content).encode(), *parts[4:])
    except (WireError, ValueError, RecursionError):
        return parts  # not readable here, and perhaps there


def _rename(content: dict[str, Any], old: str, new: str) -> bool:
    """Change the paths below `old` in place; whether there are any. Without recursion, as it may be deep."""
    has_changed = False
    waiting: list[object] = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(inner, str):
                    waiting.append(inner)
                elif name in _FIELDS and inner.startswith(old):
                    value[name] = new + inner[len(old) :]
                    has_changed = True
    return has_changed
