"""Guard of the interpreters of an agent: a process beside it, which ends them at once when the agent was killed.

An agent that ends by itself ends its interpreters. One that gets SIGKILL cannot, and no kernel but IPython's looks
whether its parent is there; nor does what a cell has started.
"""

import contextlib
import subprocess

# It remembers the last line, which has the process groups that there are, and kills these when there are no more lines.
# What ends an agent in an orderly way must not end it first. A shell takes a tenth of the memory of an interpreter.
_PROGRAM = """
trap '' TERM HUP INT
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class Guard:
    """A process that kills process groups when this process has ended; it starts with the first of them.

    Where there is no shell there is no guard, and everything else works.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Kill this process group at our end."""
        self._groups.add(group)
        self._tell()

    def remove(self, group: int) -> None:
        """Leave this one alone: it has ended, and its number may become another's."""
        self._groups.discard(group)
        self._tell()

    def close(self) -> None:
        """End the process, which kills what there still is."""
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _tell(self) -> None:
        line = " ".join(map(str, sorted(self._groups)))
        with contextlib.suppress(OSError):
            if self._process is None:
                # In a session of its own: what kills the agent's process group must not kill this.
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True, bufsize=0, cwd="/",
                )  # fmt: skip
            assert self._process.stdin is not None
            self._process.stdin.write(f"{line}\n".encode())
