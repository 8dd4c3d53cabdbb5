"""Paths of downloads on this machine: the user's own words decide them, whatever a pod says.

What a pod says is in a folder is data from somebody who is trusted less than this machine. So every name in it is
looked at, and goes below the folder that the user named, or nowhere. What else may be in its way there, such as a
symbolic link, is for `client.files.target_folder` to see.
"""

import fnmatch
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count

from remote_kernel.core.errors import TransferError
from remote_kernel.core.text.terminal_text import one_line

# Where Azure's pods keep the user's files, and so what users write in front of a path.
_DATA = ("mnt", "data")

# What Linux allows, in bytes; nothing in a pod can have more, as it runs Linux, too.
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096

# Folders in folders: more than any tree has, and few enough that looking at each costs nothing.
MAX_DEPTH = 100

# Of a name in a sentence.
MAX_SHOWN_CHARS = 200

# Of files that are not complete.
PARTIAL_PREFIX = ".download-"

# What is said of a file that is saved beside another one.
BESIDE = "from the session"

_WILD = frozenset("*?[")

# Control characters, line ends, and halves of characters.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})

# Characters that a file system of macOS passes over when it compares names.
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])

_NOT_ON_WINDOWS = frozenset('<>:"/\\|?*')
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in "0123456789¹²³"}
)


class System(Enum):
    """Naming rules of a system: the names that it takes, and which of them are one to it."""

    LINUX = "linux"
    MACOS = "darwin"
    WINDOWS = "win32"

    @classmethod
    def of_platform(cls, platform: str) -> "System":
        return cls(platform) if platform in {"darwin", "win32"} else cls.LINUX

    def fold(self, name: str) -> str:
        """Return what two names have in common that are one to this system: on most, their case does not matter."""
        if self is System.LINUX:
            return name
        if name.isascii():
            return name.lower()
        return unicodedata.normalize("NFD", unicodedata.normalize("NFD", _seen(name)).casefold())


@dataclass(frozen=True, slots=True)
class Wish:
    """One of the user's words.

    Attributes:
        parent: of what is asked for, "" for the folder that cells run in.
        name: its last part; "" for that folder itself.
    """

    parent: str
    name: str

    @property
    def source(self) -> str:
        return join(self.parent, self.name)

    @property
    def is_pattern(self) -> bool:
        return bool(_WILD & set(self.name))

    def matches(self, name: str) -> bool:
        """Return whether a name is meant by the pattern, as in a shell: one part, and hidden only where the pattern
        is."""
        if is_hidden(name) and not self.name.startswith("."):
            return False
        return len(name) <= MAX_NAME_BYTES and "/" not in name and fnmatch.fnmatchcase(name, self.name)


def parse_wish(text: str) -> Wish:
    """Return what a word means; raises `TransferError`."""
    if problem := next(filter(None, map(_find_problem_anywhere, text.split("/"))), ""):
        raise TransferError(f"'{shown(text)}' cannot be fetched: {problem}.")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise TransferError(
            f"'{shown(text)}': A path may not contain '..': "
            "name the file by its place below the folder that cells run in."
        )
    is_absolute = text.startswith("/")
    if not parts:
        return Wish("/" if is_absolute else "", "")
    if is_absolute and tuple(parts) == _DATA:
        return Wish("", "")
    parent = "/".join(parts[:-1])
    return Wish(f"/{parent}" if is_absolute else parent, parts[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file or folder of the session, and where it goes.

    Attributes:
        parts: of its path below the target folder; none of them leads out of it.
    """

    source: str
    parts: tuple[str, ...]
    size: int
    is_folder: bool

    @property
    def path(self) -> str:
        """Its path below the target folder, for people."""
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Taken:
    parts: tuple[str, ...]
    is_folder: bool
    source: str


class Places:
    """All that is wanted, each in a place of its own.

    Attributes:
        wanted: folders before what is in them.
        refused: what cannot be written here, and why.
        hidden: what was left out, as nobody asked for it by name.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._taken: dict[tuple[str, ...], _Taken] = {}
        self._folders: set[tuple[tuple[str, ...], bool, bool]] = set()
        self.wanted: list[Wanted] = []
        self.refused: dict[str, str] = {}
        self.hidden: dict[str, None] = {}  # in order

    def add(self, wish: Wish, path: str, source: str, *, is_named: bool, is_folder: bool, size: int) -> bool:
        """Find a place for what a wish means, or for something in it; return whether it has one.

        Args:
            path: where it is to go below the target folder.
            is_named: whether the first part of that is the user's own word. All else is the pod's.
        """
        parts = tuple(path.split("/"))
        if len(parts) > MAX_DEPTH or len(path.encode(errors="surrogatepass")) > MAX_PATH_BYTES:
            return self._refuse(path, "its path is too long")
        takes_hidden = is_named or wish.name.startswith(".")
        # Most have their folder in common with the one before.
        known = (parts[:-1], is_named, takes_hidden)
        for number in range(len(parts) - 1 if known in self._folders else 0, len(parts)):
            part = parts[number]
            if problem := find_problem(part, self._system):
                return self._refuse("/".join(parts[: number + 1]), problem)
            is_users_own = is_named and number == 0
            if not is_users_own and (is_git(part) or (is_hidden(part) and not takes_hidden)):
                self.hidden.setdefault("/".join(parts[: number + 1]))
                return False
        clash = self._take(_Taken(parts, is_folder, source), is_folder_known=known in self._folders)
        if clash:
            return self._refuse(path, clash)
        self._folders.add(known)
        if clash is None:
            self.wanted.append(Wanted(source=source, parts=parts, size=size, is_folder=is_folder))
        return True

    def is_taken(self, parts: tuple[str, ...]) -> bool:
        """Return whether something that is wanted goes to this place."""
        return self._key(parts) in self._taken

    def _refuse(self, path: str, problem: str) -> bool:
        self.refused.setdefault(path, problem)
        return False

    def _take(self, new: _Taken, *, is_folder_known: bool) -> str | None:
        """Take a place; return why it cannot be had, "" for what has it already, and `None` when it is had now."""
        for length in range(1, 1 if is_folder_known else len(new.parts)):
            above = new.parts[:length]
            if problem := self._clash(_Taken(above, is_folder=True, source="")):
                return problem
            self._taken.setdefault(self._key(above), _Taken(above, is_folder=True, source=""))
        known = self._taken.get(self._key(new.parts))
        if known is None:
            self._taken[self._key(new.parts)] = new
            return None
        if problem := self._clash(new):
            return problem
        if new.is_folder or new.source == known.source:
            return ""
        return f"'{shown(known.source)}' goes to the same place"

    def _clash(self, new: _Taken) -> str:
        known = self._taken.get(self._key(new.parts))
        if known is None:
            return ""
        if known.parts != new.parts:
            return f"to this system its name and that of '{shown('/'.join(known.parts))}' are one"
        if known.is_folder != new.is_folder:
            return f"'{shown('/'.join(known.parts))}' is a file and a folder"
        return ""

    def _key(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self._system.fold, parts))


def find_problem(name: str, system: System) -> str:
    """Return why a file cannot have a name here; "" where it can."""
    if _seen(name) in ("", ".", ".."):
        return "that is no name of a file"
    if problem := _find_problem_anywhere(name):
        return problem
    if System.MACOS.fold(name).startswith(PARTIAL_PREFIX):
        return "such names are for downloads that are not complete"
    if system is System.WINDOWS and not _is_possible_on_windows(name):
        return "Windows takes no such name"
    return ""


def _find_problem_anywhere(name: str) -> str:
    is_plain = name.isascii() and name.isprintable()
    if not is_plain and any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return "its name has a character that cannot be shown"
    return "its name is too long" if len(name.encode()) > MAX_NAME_BYTES else ""


def _is_possible_on_windows(name: str) -> bool:
    stem = name.split(".", 1)[0].rstrip(" ").casefold()
    return not (_NOT_ON_WINDOWS & set(name) or name.endswith((".", " ")) or stem in _WINDOWS_DEVICES)


def is_hidden(name: str) -> bool:
    """Return whether a name begins with a dot, or does to a file system that passes over what cannot be seen."""
    return _seen(name).startswith(".")


def is_git(name: str) -> bool:
    """Return whether git takes a folder of this name for its own, on any system: it starts programs that are named
    there."""
    return System.MACOS.fold(name).rstrip(" .") in {".git", "git~1"}


def _seen(name: str) -> str:
    return name if name.isascii() else name.translate(_IGNORED)


def names_beside(name: str) -> Iterator[str]:
    """Yield names for a file beside one of this name, such as "a (from the session).csv", without end."""
    dot = name.rfind(".", 1)
    stem, suffix = (name, "") if dot < 1 else (name[:dot], name[dot:])
    for number in count(1):
        said = f" ({BESIDE})" if number == 1 else f" ({BESIDE} {number})"
        room = MAX_NAME_BYTES - len(f"{said}{suffix}".encode())
        if room < 1:  # the suffix is no suffix
            stem, suffix = name, ""
            room = MAX_NAME_BYTES - len(said.encode())
        yield f"{stem.encode()[:room].decode(errors='ignore')}{said}{suffix}"


def join(parent: str, name: str) -> str:
    """Return a path in the session."""
    return f"{parent}/{name}" if parent and name and parent != "/" else parent + name


def shown(text: str) -> str:
    """Return a name for people: not too long, and with escapes for what would do something to a terminal."""
    if len(text) > MAX_SHOWN_CHARS:
        text = f"{text[: MAX_SHOWN_CHARS // 2]}…{text[-MAX_SHOWN_CHARS // 2 :]}"
    return one_line(text.encode(errors="backslashreplace").decode())
