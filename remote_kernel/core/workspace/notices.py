"""Notices of a file system about a tree of folders, as Linux gives them (inotify(7)): what has to be looked at again.

A notice says that something has happened to a name in a folder, and not what is there now. So paths are collected, and
whoever looks asks the system about each. Three things are not told by notices alone:

- A store into memory that a file is mapped to. So what is open is looked at each time; and what was open a moment ago,
  too, as two openings right after one another are told as one, and as overlayfs lets go of a file that is still mapped.
- A change by another name (a hard link) of a file. Files with several names are for who looks, each time.
- What had been opened before the first look, and is mapped. That shows when it is closed. The same goes for what was
  open when events were lost, or when so much seemed to be open that what is closed must have been told too seldom, as
  two closings are told as one as well: what is open is counted anew then.
"""

from collections.abc import Iterable
from typing import NamedTuple

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
CLOSE_NOWRITE = 0x10
OPEN = 0x20
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
IS_FOLDER = 0x40000000

# What is asked of each folder.
WANTED = (
    MODIFY | ATTRIB | CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
    | MOVE_SELF
)  # fmt: skip

# Files that were closed last, and could be mapped still.
MAX_CLOSED = 32

# Files that are open. With more of them a look through all folders is no slower.
MAX_OPEN = 400

_CLOSE = CLOSE_WRITE | CLOSE_NOWRITE
_LOST = UNMOUNT | OVERFLOW
_OF_NAMES = ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE
_OF_ROOT = ATTRIB | DELETE_SELF | MOVE_SELF


class Event(NamedTuple):
    """One event of inotify.

    Attributes:
        watch: of the folder; -1 where the queue was too short.
        name: in the folder; "" for itself.
        cookie: the same for both ends of a move.
    """

    watch: int
    mask: int
    name: str = ""
    cookie: int = 0


class Notices:
    """Paths in a tree of folders that have to be looked at again.

    A round is a look through all of them, before each of which its watch is named. What happens during a round is
    noticed behind it.

    Attributes:
        is_lost: whether it takes another round, as names do not tell all that has happened, or one has not ended.
    """

    def __init__(self) -> None:
        self.is_lost = True
        self._folders: dict[int, str] = {}
        self._round: dict[int, str] = {}
        self._is_clear = True
        self._has_overflowed = False
        self._touched: set[str] = set()
        self._open: dict[str, int] = {}
        self._closed: dict[str, None] = {}
        self._moving: dict[int, str] = {}

    @property
    def is_overrun(self) -> bool:
        """Return whether so much is open that notices are of no use."""
        return len(self._open) > MAX_OPEN

    @property
    def paths(self) -> set[str]:
        """Files and folders that have to be looked at, and need not be there."""
        return self._touched.union(self._open, self._closed)

    def begin_round(self) -> None:
        """Forget what was touched, as all is about to be looked at."""
        self.is_lost = True
        self._touched.clear()
        if self._has_overflowed or self.is_overrun:
            self._open.clear()
        self._has_overflowed, self._is_clear = False, True
        self._folders |= self._round  # of a round that has not ended, too: what is left of them is given up
        self._round = {}

    def enter(self, watch: int, folder: str) -> None:
        """Take the watch of a folder, "" for the topmost one, that is about to be looked at."""
        if self._round.setdefault(watch, folder) != folder:
            self._is_clear = False  # it has moved meanwhile, or is mounted twice: its watch has one name and it has two

    def end_round(self) -> list[int]:
        """Return the watches of folders that are not there any more."""
        self.is_lost = not self._is_clear or "" not in self._round.values()
        left, self._folders = self._folders.keys() - self._round.keys(), self._round
        return [*left]

    def settle(self) -> None:
        """Note that all paths were looked at."""
        self._touched.clear()

    def take(self, events: Iterable[Event]) -> None:
        """Take events in their order."""
        for event in events:
            watch, mask, name, _ = event
            if mask & _LOST:
                self.is_lost = True
                self._has_overflowed = self._has_overflowed or bool(mask & OVERFLOW)
            elif mask & IGNORED:
                self._folders.pop(watch, None)
            elif (folder := self._folders.get(watch)) is None:
                continue
            elif not name:
                self.is_lost = self.is_lost or (not folder and bool(mask & _OF_ROOT))
            else:
                self._take(f"{folder}/{name}" if folder else name, event)

    def _take(self, path: str, event: Event) -> None:
        mask = event.mask
        if mask & IS_FOLDER and not mask & _OF_NAMES:
            return  # a folder was read
        if mask & OPEN:
            self._open[path] = self._open.get(path, 0) + 1
        elif mask & _CLOSE:
            self._close(path)
        if mask & (_OF_NAMES | MODIFY | CLOSE_WRITE):
            self._touched.add(path)
        if mask & MOVED_FROM:
            self._moving = {event.cookie: path}  # both ends of a move come together
        elif mask & MOVED_TO:
            self._move(self._moving.pop(event.cookie, ""), path)
        elif mask & DELETE:
            self._open.pop(path, None)
            self._closed.pop(path, None)

    def _close(self, path: str) -> None:
        left = self._open.pop(path, 0) - 1
        if left > 0:
            self._open[path] = left
        else:
            self._suspect(path)

    def _suspect(self, path: str) -> None:
        self._closed.pop(path, None)
        self._closed[path] = None
        if len(self._closed) > MAX_CLOSED:
            del self._closed[next(iter(self._closed))]

    def _move(self, old: str, new: str) -> None:
        """Note that a file or folder has another name, "" for one that nobody knows."""
        if old:
            self._closed.pop(old, None)
            self._open.pop(new, None)
            for path in [path for path in self._open if _is_below(path, old)]:
                self._open[new + path[len(old) :]] = self._open.pop(path)
            for watch, path in self._folders.items():
                if _is_below(path, old):
                    self._folders[watch] = new + path[len(old) :]
        if new not in self._open:
            self._suspect(new)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
