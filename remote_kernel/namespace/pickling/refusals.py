"""Refusals: what lives in this process alone, and where in a variable it is."""

from __future__ import annotations

import asyncio
import io
import threading
import types
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A look for a culprit takes a moment at most.
MAX_LOOKED_AT = 100_000
MAX_SHOWN = 200

_TYPES: tuple[tuple[Any, str], ...] = (
    (types.GeneratorType, "a generator"),
    ((types.CoroutineType, types.AsyncGeneratorType), "a coroutine"),
    ((types.FrameType, types.TracebackType), "a frame of a running function"),
    (threading.Thread, "a thread"),
    ((asyncio.Future, asyncio.AbstractEventLoop), "a task of this interpreter"),
)

# Module and name of a class, of what need not be loaded.
_NAMES = {
    ("socket", "socket"): "an open socket",
    ("ssl", "SSLSocket"): "an open socket",
    ("_ssl", "_SSLContext"): "an SSL context",
    ("select", "epoll"): "a poll of open files",
    ("weakref", "finalize"): "a finalizer",
    ("mmap", "mmap"): "a file in memory (mmap)",
    ("numpy", "memmap"): "an array in a file (numpy.memmap)",
    ("numpy.memmap", "memmap"): "an array in a file (numpy.memmap)",
    ("subprocess", "Popen"): "a process",
    ("multiprocessing.process", "BaseProcess"): "a process",
    ("multiprocessing.pool", "Pool"): "a pool of processes",
    ("multiprocessing.queues", "Queue"): "a queue between processes",
    ("concurrent.futures._base", "Executor"): "a pool of threads or processes",
    ("concurrent.futures._base", "Future"): "a task of this interpreter",
    ("sqlite3", "Connection"): "a database connection",
    ("sqlite3", "Cursor"): "a cursor of a database connection",
    ("sqlalchemy.engine.base", "Connection"): "a database connection",
    ("sqlalchemy.engine.base", "Engine"): "a database connection",
    ("psycopg2.extensions", "connection"): "a database connection",
    ("psycopg", "Connection"): "a database connection",
    ("duckdb", "DuckDBPyConnection"): "a database connection",
    ("_duckdb", "DuckDBPyConnection"): "a database connection",
    ("pymongo.synchronous.mongo_client", "MongoClient"): "a database connection",
    ("ipywidgets.widgets.widget", "Widget"): "a widget, whose other half is in the notebook",
    ("IPython.core.interactiveshell", "InteractiveShell"): "an interpreter",
}

_LOCK = type(threading.Lock())
_RLOCK = type(threading.RLock())


class Refused(Exception):
    """An object cannot be saved.

    Attributes:
        phrase: a noun phrase for it.
        culprit: the object itself.
    """

    def __init__(self, phrase: str, culprit: Any) -> None:
        super().__init__(phrase)
        self.phrase, self.culprit = phrase, culprit


class TooLarge(Exception):
    """More bytes than are taken at once."""


class TimeOver(BaseException):
    """The time for one variable is over; nobody's `except Exception` ends it."""


def phrase_of(kind: type) -> str:
    """Return a noun phrase for what lives in this process alone, or nothing for everything else."""
    for types_, phrase in _TYPES:
        if issubclass(kind, types_):
            return phrase
    for base in kind.__mro__:
        phrase = _NAMES.get((base.__module__, base.__name__), "") if isinstance(base.__module__, str) else ""
        if phrase:
            return phrase
    return ""


def is_lock(kind: type) -> bool:
    """Return whether objects of this class are locks of threads."""
    return kind in (_LOCK, _RLOCK)


def is_reentrant(kind: type) -> bool:
    """Return whether a lock's class is that of reentrant ones."""
    return kind is _RLOCK


def is_held(lock: Any) -> bool:
    """Return whether somebody holds a lock."""
    if hasattr(lock, "locked"):
        return bool(lock.locked())
    return not repr(lock).startswith("<unlocked")


def is_file(kind: type) -> bool:
    """Return whether objects of this class may be open files; those in memory are none."""
    return issubclass(kind, io.IOBase) and not issubclass(kind, (io.BytesIO, io.StringIO))


def file_phrase(file: Any) -> str:
    """Return what kind of file this is; nothing where a class of the user's has no file behind it."""
    if isinstance(file, (io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)):
        return "a closed file" if file.closed else "an open file"
    return ""


def sentence(error: BaseException, name: str, value: Any, last: Any) -> str:
    """Return why a variable cannot be saved.

    Args:
        error: raised while it was pickled.
        name: of the variable.
        value: its value.
        last: object that was pickled last, or None if it is not known.
    """
    if isinstance(error, Refused):
        return _of_refused(error, name, value)
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return "is nested too deeply"
    if isinstance(error, MemoryError):
        return "is too large for the pod's memory"
    place = f" (at {path})" if last is not value and (path := path_to(last, name, value)) else ""
    return f"cannot be pickled{place}: {shown(error)}"


def _of_refused(error: Refused, name: str, value: Any) -> str:
    if error.culprit is value:
        return f"is {error.phrase}"
    path = path_to(error.culprit, name, value)
    return f"holds {error.phrase} at {path}" if path else f"holds {error.phrase}"


def shown(error: BaseException) -> str:
    """Return an error's class and text, whatever its own methods do."""
    try:
        text = " ".join(str(error).split())[:MAX_SHOWN]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def path_to(culprit: Any, name: str, value: Any) -> str:
    """Return how Python would write the way to an object, or nothing if none was found in a while."""
    if culprit is None:
        return ""
    seen, queue = {id(value)}, deque([(name, value)])
    while queue and len(seen) < MAX_LOOKED_AT:
        path, holder = queue.popleft()
        try:
            for step, part in parts_of(holder):
                if part is culprit:
                    return f"{path}{step}"
                if id(part) not in seen and not _is_known_by_name(part):
                    seen.add(id(part))
                    queue.append((f"{path}{step}", part))
        except Exception:  # noqa: S112  # a class of the user's; what it holds is not shown
            continue
    return ""


def member_with(culprit: Any, names: Sequence[str], values: Sequence[Any]) -> str:
    """Return the name of the value that is an object, else of one that holds it, or nothing if none was found."""
    held = (name for name, value in zip(names, values) if path_to(culprit, name, value))
    return next((name for name, value in zip(names, values) if value is culprit), "") or next(held, "")


def _is_known_by_name(part: Any) -> bool:
    """Return whether a part is a module, a class of one, or none that holds others."""
    if isinstance(part, type):
        return part.__module__ != "__main__"
    return isinstance(part, (str, bytes, int, float, types.ModuleType))


def parts_of(holder: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds, each with what is written behind the object to get it."""
    if isinstance(holder, dict):
        yield from ((f"[{_key(key)}]", part) for key, part in list(dict.items(holder)))
    elif isinstance(holder, (list, tuple, deque)):
        yield from ((f"[{index}]", part) for index, part in enumerate(holder))
    elif isinstance(holder, (set, frozenset)):
        yield from (("{…}", part) for part in holder)
    elif isinstance(holder, types.FunctionType):
        for variable, cell in zip(holder.__code__.co_freevars, holder.__closure__ or ()):
            if cell != types.CellType():
                yield f".<{variable}>", cell.cell_contents
        yield from ((f"(… = {index})", part) for index, part in enumerate(holder.__defaults__ or ()))
    elif isinstance(holder, types.MethodType):
        yield ".__self__", holder.__self__
    elif type(holder).__name__ == "partial":
        yield from ((".func", holder.func), (".args", holder.args), (".keywords", holder.keywords))
    names = getattr(holder, "__dict__", None)
    if isinstance(names, (dict, types.MappingProxyType)):
        yield from ((f".{name}", part) for name, part in list(names.items()))
    for base in type(holder).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(holder, slot):
                yield f".{slot}", getattr(holder, slot)


def _key(key: Any) -> str:
    text = repr(key) if isinstance(key, (str, int, float, tuple)) else f"<{type(key).__name__}>"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
