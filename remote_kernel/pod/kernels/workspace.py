"""Workspace of a kernel: the folder that its readers have at home as well, looked through behind each cell."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import parse_object
from remote_kernel.core.wire.codec import encode
from remote_kernel.core.wire.frames import MAX_FILES, MAX_FILES_BYTES, Files
from remote_kernel.io.tasks import start
from remote_kernel.pod.files.looks import Look
from remote_kernel.pod.files.watched_folder import WatchedFolder
from remote_kernel.pod.readers.wakeups import GATHER_SECONDS

# More than follow any kernel; of those beyond it nobody knows when they leave.
MAX_READERS = 256

# Front ends use some forty characters; what is longer would not leave room for files.
MAX_ID_CHARS = 1000

_NOTHING = Look(is_compared=True)

# So many files are looked at without a thread: in less time than it takes to start one.
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of a look behind a cell."""

    folder: str
    cell: str
    look: Look

    def to_frame(self, sequence: int) -> Files:
        """Return the frame that says it, which names nothing where there is too much to name."""
        nothing = Files(
            folder=self.folder, cell=self.cell, sequence=sequence, is_whole=False, changed=[], removed=[]
        )  # fmt: skip
        if not self.look.is_compared or len(self.look.changed) + len(self.look.removed) > MAX_FILES:
            return nothing
        whole = replace(nothing, is_whole=True, changed=self.look.changed, removed=self.look.removed)
        return whole if len(encode(whole)) <= MAX_FILES_BYTES else nothing


class Workspace:
    """The folder of one kernel, from when the first reader has asked for it until the last one asks no more.

    It is looked through in a thread, one look at a time, unless hardly anything has happened to it. Cells that end
    during a look are covered by another one, right behind it.

    Args:
        say: called with what was found, once for each cell.
    """

    def __init__(self, say: Callable[[Found], None]) -> None:
        self._say = say
        self._folder = ""
        self._watched: WatchedFolder | None = None
        self._readers: set[str] = set()
        self._sent: dict[str, bytes] = {}  # contents of cells that are not idle so far
        self._ended: list[str] = []
        self._looking: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._look_seconds = 0.0

    @property
    def is_looking(self) -> bool:
        """Return whether something is about to be said."""
        return bool(self._ended)

    async def follow(self, reader: str, folder: str, root: Path) -> None:
        """Look through a folder, so that later looks tell what has changed since; not if it is the one from before.

        Args:
            reader: who wants to hear of it.
            folder: as the reader calls it; of several folders the one counts that was asked for last.
            root: where it is, with no link left in it.
        """
        if len(self._readers) < MAX_READERS:
            self._readers.add(reader)
        if folder == self._folder:
            return
        async with self._lock:
            if folder != self._folder:  # nobody else has looked meanwhile
                watched = WatchedFolder(root)
                await asyncio.to_thread(watched.look)
                self._folder, self._watched = folder, watched

    def leave(self, reader: str) -> None:
        """Note that a reader follows the kernel without wanting to hear of any folder, any more."""
        self._readers.discard(reader)
        if not self._readers:
            self._folder, self._watched, self._ended = "", None, []

    def note_sent(self, cell: str, content: bytes) -> None:
        """Note that a cell is about to be run, or to be answered as if it had been."""
        if len(cell) <= MAX_ID_CHARS:
            self._sent[cell] = content

    def note_idle(self, request: str) -> bool:
        """Note that the kernel is done with a request; return whether what it has changed is said in a moment."""
        content = self._sent.pop(request, None)
        if content is None or not self._folder or _is_silent(content):
            return False
        self._ended.append(request)
        if self._looking is not None:
            return self._look_seconds < GATHER_SECONDS
        if (found := self._look_at_once()) is not None:
            asyncio.get_running_loop().call_soon(self._tell, 1, found)  # behind the idle
            return True
        self._looking = start(self._look_on(), "look", on_failure=self._fail)
        return self._look_seconds < GATHER_SECONDS

    def _look_at_once(self) -> Look | None:
        """Return a look that takes hardly any time, `None` where it has to be made in a thread."""
        if self._watched is None or self._lock.locked():
            return None
        try:
            return self._watched.look_at_touched(AT_ONCE)
        except Exception:
            return None  # what is wrong is told by the look in a thread

    def note_epoch(self) -> None:
        """Note that the interpreter is gone: what it was about to do is not done any more."""
        self._sent.clear()

    async def _look_on(self) -> None:
        """Look until no cell has ended since."""
        while self._ended:
            async with self._lock:
                count = len(self._ended)
                began = time.monotonic()
                found = await asyncio.to_thread(self._watched.look) if self._watched is not None else Look()
                self._look_seconds = time.monotonic() - began
            self._tell(count, found)
        self._looking = None

    def _tell(self, count: int, found: Look) -> None:
        """Say what was found behind the first cells that have ended."""
        cells, self._ended = self._ended[:count], self._ended[count:]
        for number, cell in enumerate(cells):
            self._say(Found(self._folder, cell, _NOTHING if number else found))

    def _fail(self, _error: Exception) -> None:
        """Let no cell wait for its frame: who wants to know lists the folder."""
        self._looking = None
        self._tell(len(self._ended), Look())

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._watched, self._ended = None, []


def _is_silent(content: bytes) -> bool:
    try:
        return bool(parse_object(content).get("silent", False))
    except WireError:
        return False
