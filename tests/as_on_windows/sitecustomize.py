"""Has the package see what it would see on Windows, in every Python that has this folder on its path.

For the modules of `remote_kernel`, and for them alone, `sys.platform` is "win32", modules and functions that Windows
does not have are missing, and the event loop is the one that Windows' own is made of: without signals, processes and
Unix sockets. What only Windows has is made of Linux's: a handle is a descriptor, of a process (pidfd) or of an event
(eventfd). Paths, line ends and the rules of open files stay Linux's.

The local pool and its pods are another machine here, with Linux.
"""

import asyncio.selector_events
import builtins
import ctypes
import errno
import fcntl
import os
import re
import select
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PACKAGE = "remote_kernel"
ELSEWHERE = ("remote_kernel.pool", "remote_kernel.pod")

# "Availability: Unix" in the documentation of Python's library.
MISSING_MODULES = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"})
MISSING_NAMES: Mapping[str, tuple[str, ...]] = {
    "os": (
        "chown", "fchmod", "fchown", "fork", "forkpty", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo",
        "openpty", "pidfd_open", "posix_spawn", "pread", "pwrite", "sendfile", "set_blocking", "setpgid", "setsid",
        "statvfs", "uname", "wait", "waitid", "WNOHANG", "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW",
        "O_NONBLOCK", "O_PATH",
    ),
    "signal": (
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1",
        "SIGUSR2", "SIGWINCH", "alarm", "pthread_kill", "pthread_sigmask", "setitimer",
    ),
    "socket": ("AF_UNIX", "SCM_RIGHTS", "SO_PEERCRED", "SO_REUSEPORT", "TCP_INFO", "TCP_USER_TIMEOUT"),
    "select": ("epoll", "poll"),
}  # fmt: skip


class SelectorEventLoop(asyncio.selector_events.BaseSelectorEventLoop):
    """The loop of `asyncio.windows_events`, which adds nothing to its base."""


def wait(handle: int, milliseconds: int) -> Any:
    """Do as WaitForSingleObject; an event is reset by the wait."""
    poll = select.poll()
    try:
        poll.register(handle, select.POLLIN)
        found = poll.poll(None if milliseconds == WINAPI.INFINITE else milliseconds)
    except OSError as error:
        raise as_windows(error) from None
    if not found:
        return WINAPI.WAIT_TIMEOUT
    if found[0][1] & select.POLLNVAL:
        raise as_windows(OSError(errno.EBADF, "The handle is invalid"))
    if not process_of(handle):
        os.eventfd_read(handle)
    return WINAPI.WAIT_OBJECT_0


def open_process(_access: int, _inherit: bool, pid: int) -> int:
    """Do as OpenProcess."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise as_windows(error) from None


def process_of(handle: Any) -> int:
    """Do as GetProcessId."""
    number = getattr(handle, "value", handle)
    try:
        found = re.search(r"^Pid:\s*(\d+)$", Path(f"/proc/self/fdinfo/{number}").read_text("ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def as_windows(error: OSError) -> OSError:
    """Return an error with the number that Windows has for it."""
    error.winerror = {errno.ESRCH: 87, errno.EBADF: 6}.get(error.errno or 0, 5)  # type: ignore[attr-defined]
    return error


WINAPI = SimpleNamespace(
    INFINITE=0xFFFFFFFF, SYNCHRONIZE=0x100000, WAIT_OBJECT_0=0, WAIT_TIMEOUT=258, CloseHandle=os.close,
    OpenProcess=open_process, WaitForSingleObject=wait,
)  # fmt: skip


def lock(descriptor: int, _mode: int, _length: int) -> None:
    """Do as `msvcrt.locking`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


MSVCRT = SimpleNamespace(LK_NBLCK=2, locking=lock)

ADDED_NAMES: Mapping[str, Mapping[str, object]] = {
    "asyncio": {"SelectorEventLoop": SelectorEventLoop},
    "ctypes": {"WinDLL": lambda _name: SimpleNamespace(GetProcessId=process_of)},
    "os": {"O_BINARY": 0, "name": "nt"},
    "signal": {"SIGBREAK": int(__import__("signal").SIGUSR2)},
    "sys": {"platform": "win32"},
}


class Seen(ModuleType):
    """A module, as it would be seen on Windows."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(real.__name__)
        self.__dict__["_real"] = real
        self.__dict__["_missing"] = MISSING_NAMES.get(real.__name__, ())
        self.__dict__.update(ADDED_NAMES.get(real.__name__, {}))

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


seen: dict[str, ModuleType] = {}


def import_as_on_windows(
    name: str,
    module_globals: Any = None,
    module_locals: Any = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """Do as `__import__`."""
    top = name.partition(".")[0]
    if top in MISSING_MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
    if name in {"_winapi", "msvcrt"}:
        return WINAPI if name == "_winapi" else MSVCRT
    found = builtins.__import__(name, module_globals, module_locals, fromlist, level)
    if found.__name__ in ADDED_NAMES or found.__name__ in MISSING_NAMES:
        return seen.setdefault(found.__name__, Seen(found))
    return found


OURS = {**vars(builtins), "__import__": import_as_on_windows}


class Loader(SourceFileLoader):
    """Loads a module of the package."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = OURS
        super().exec_module(module)


class Finder(MetaPathFinder):
    """Finds the modules of the package."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


if not any(word.startswith(ELSEWHERE) for word in sys.orig_argv):
    assert ctypes  # loaded before anything is missing
    sys.meta_path.insert(0, Finder())
