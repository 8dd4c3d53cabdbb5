"""The process that has started the kernel: which it is, and whether it has ended.

Source: `jupyter_client.launcher`, which tells its process in `JPY_PARENT_PID`: by number, and on Windows by a handle
that the kernel inherits, in decimal.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

# Whose children orphans become; it may be the front end, in a container.
INIT_PID = 1

VARIABLE = "JPY_PARENT_PID"


class Parent(NamedTuple):
    """The process that has started the kernel.

    Attributes:
        pid: its number.
        has_ended: returns whether it has.
    """

    pid: int
    has_ended: Callable[[], bool]


def parse_handle(text: str) -> int:
    """Return the handle that a variable holds; 0 for none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


if sys.platform == "win32":
    from functools import partial

    from remote_kernel.io.system.processes import has_ended, open_process, process_of

    def find_parent(environ: Mapping[str, str]) -> Parent:
        """Return who has started this process, as it begins.

        In a virtual environment, the system's own word is the launcher that is called `python.exe` there. The handle
        names the front end; as long as it is open, nobody else gets that number.
        """
        handle = parse_handle(environ.get(VARIABLE, ""))
        if handle and (pid := process_of(handle)):
            return Parent(pid, partial(has_ended, handle))
        pid = os.getppid()
        try:
            return Parent(pid, partial(has_ended, open_process(pid)))
        except OSError:
            return Parent(pid, lambda: False)  # it is none of ours to watch

else:

    def find_parent(environ: Mapping[str, str]) -> Parent:
        """Return who has started this process, as it begins."""
        pid = os.getppid()
        # The front end may have ended before this process could look who it was; jupyter_client says who.
        is_orphan = pid == INIT_PID and environ.get(VARIABLE, str(INIT_PID)) != str(INIT_PID)
        return Parent(pid, lambda: is_orphan or os.getppid() != pid)
