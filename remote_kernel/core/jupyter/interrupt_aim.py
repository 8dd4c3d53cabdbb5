"""The aim of an interrupt: which cells it is for, so that one that arrives late hits nothing else.

It is in the content of an `interrupt_request`, which is empty in the messaging protocol.
"""

import json
from typing import NamedTuple

from remote_kernel.core.jupyter.messages import parse_object

_CELLS, _ONLY = "cells", "only_these"


class Aim(NamedTuple):
    """Aim of an interrupt: the cells that it is for.

    Attributes:
        cells: message ids of the requests that the interrupt is for; empty for whatever runs.
        is_exclusive: whether it is for nothing but these, and for each of them once, as nobody waits for them any more.
            Else it is also for what the front end could see running, and hits one cell, whose error aborts the others.
    """

    cells: frozenset[str] = frozenset()
    is_exclusive: bool = False

    def to_content(self) -> bytes:
        """Return the content part of an `interrupt_request`."""
        return json.dumps({_CELLS: sorted(self.cells), _ONLY: self.is_exclusive}).encode()

    @classmethod
    def parse(cls, content_part: bytes) -> "Aim":
        """Read the content part; what is no aim is for whatever runs. Raises `WireError` when it is no JSON object."""
        content = parse_object(content_part)
        cells = content.get(_CELLS)
        if not isinstance(cells, list):
            return cls()
        names = frozenset(cell for cell in cells if isinstance(cell, str))
        return cls(cells=names, is_exclusive=content.get(_ONLY) is True)
