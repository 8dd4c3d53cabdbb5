"""Binding of a kernel to its session: decided once, then remembered for as long as the kernel lives."""

import contextlib
import hashlib
import json
import os
import secrets
import struct
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

from remote_kernel.core.errors import WireError
from remote_kernel.core.identity import Identifier, is_identifier
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.numbers import MAX_SEQUENCE, NAME, Range
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.wire.fields import from_fields
from remote_kernel.core.wire.frames import DEFAULT_KERNEL, FRESH_PREFIX
from remote_kernel.io.private_files import (
    make_private_folder,
    open_descriptor,
    read_json_object,
    read_ordinary,
    write_private,
)
from remote_kernel.io.system.file_locks import FileLock, is_held

BINDINGS_FOLDER = "remote-kernel/kernels"  # inside Jupyter's runtime folder

# What a kernel left behind that was killed and never followed by another is of no use after this.
MAX_AGE_SECONDS = 30 * 86400.0

_CURSOR = struct.Struct(">Q")
_PROCESS = Range(least=0, most=2**31 - 1)

# A full or read-only disk costs the memory, not the cell.
_COSTS_THE_MEMORY = contextlib.suppress(OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Binding of a kernel: its session, and how far it has followed it.

    Attributes:
        kernel: name of the kernel in the pod.
        kernelspec: its kernelspec.
        is_private: nobody knew the notebook, so the session is this kernel's alone.
        epoch: which life of the interpreter the link followed; "" for none.
        restart: whether a restart was asked for and may not have happened.
        restarted: epoch that came of a restart, until the link follows one again; it is only to be given back.
        untold: how the state was lost that `epoch` no longer names, until a cell has been told; "" for no loss.
        pod: which one has the files that the user counts on; "" for none, also once they were told to be lost.
        keep_until: until when the user wants the pod kept warm at least (seconds since 1970).
        reader: how the pod tells this kernel, in whichever process, from others of the same session.
        notebook: its path, for people; "" where nobody knows it.
        endpoint: of the pool, for people; that of an environment for a local one.
        cooldown_seconds: how long the pool keeps the pod without a call.
        connection_file: the kernel's; with it, `parent`, who started the kernel, could start a successor.
        host: the machine that this is true of; folders may be shared by several.
    """

    identifier: Identifier = field(repr=False)
    kernel: str
    kernelspec: str
    is_private: bool = False
    epoch: Annotated[str, NAME] = ""
    restart: bool = False
    restarted: Annotated[str, NAME] = ""
    untold: str = ""
    pod: Annotated[str, NAME] = ""
    keep_until: float = 0.0
    reader: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)
    notebook: str = field(default="", compare=False)
    endpoint: str = field(default="", compare=False)
    cooldown_seconds: float = field(default=DEFAULT_COOLDOWN_SECONDS, compare=False)
    connection_file: str = field(default="", compare=False)
    parent: Annotated[int, _PROCESS] = field(default=0, compare=False)
    host: str = field(default="", compare=False)

    @property
    def is_of_its_notebook(self) -> bool:
        """Return whether what is in the interpreter is the notebook's, and not that of one run, or of nobody knows
        which notebook."""
        return not (self.is_private or self.kernel.startswith(FRESH_PREFIX))

    @property
    def can_be_found(self) -> bool:
        """Return whether another kernel, or this one in a later process, finds the session by the notebook or a name.

        What is private or a process's own is gone for good with the process: nobody knows its name.
        """
        is_nameless = not self.notebook and self.kernel != DEFAULT_KERNEL
        return not (self.is_private or is_nameless or self.kernel.startswith(FRESH_PREFIX))


class BindingFile:
    """File in which a kernel remembers its binding over its own restarts.

    A restarted kernel gets the same connection file with the same key; a new kernel in a file of the same name
    has another key, and so another binding.
    """

    def __init__(self, runtime_folder: Path, *, connection_file: Path, key: bytes) -> None:
        digest = hashlib.sha256(key + str(connection_file.absolute()).encode()).hexdigest()
        self._folder = runtime_folder / BINDINGS_FOLDER
        self._path = self._folder / f"{digest[:32]}.json"
        self._cursor_path = self._path.with_suffix(".cursor")
        self._cursor_file: int | None = None
        self._lock: FileLock | None = None

    @property
    def path(self) -> Path:
        """Return where the binding is, for as long as the kernel or one that can come back to it lives."""
        return self._path

    def load(self) -> Binding | None:
        """Return what was saved; `None` when there is nothing, or nothing readable."""
        return read_binding(self._path)

    def load_cursor(self) -> int:
        """Return the journal position up to which the front end was served; 0 when that is not known, as where the
        file holds what no journal comes to: the pod would refuse to go on from there."""
        try:
            (cursor,) = _CURSOR.unpack(read_ordinary(self._cursor_path, _CURSOR.size))
        except (OSError, struct.error):
            return 0
        return int(cursor) if cursor <= MAX_SEQUENCE else 0

    def save_cursor(self, cursor: int) -> None:
        """Remember a journal position: eight bytes written in place, cheap enough to do for every message.

        What a process has written stays when the process is killed.
        """
        with _COSTS_THE_MEMORY:
            file = self._cursor_file if self._cursor_file is not None and self._lock else self._open_cursor()
            if sys.platform == "win32":
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, _CURSOR.pack(cursor))
            else:
                os.pwrite(file, _CURSOR.pack(cursor), 0)

    def _open_cursor(self) -> int:
        """Return the open file; it is locked for as long as this process lives, which tells others that it does."""
        if self._cursor_file is None:
            self._make_folders()
            self._cursor_file = open_descriptor(self._cursor_path)
        if self._lock is None:  # somebody may just be looking (`is_held`)
            lock = FileLock(self._cursor_path)
            with contextlib.suppress(OSError):
                self._lock = lock if lock.try_acquire() else None
        return self._cursor_file

    def _make_folders(self) -> None:
        make_private_folder(self._folder.parent)
        make_private_folder(self._folder)

    def save(self, binding: Binding) -> None:
        """Remember `binding`. A full or read-only disk costs the memory, not the cell."""
        with contextlib.suppress(OSError):
            self._make_folders()
            write_private(self._path, json.dumps(asdict(binding)))
            self._open_cursor()

    def remove(self) -> None:
        """Forget, as after a shutdown that gave the session back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            self.close()  # before: Windows removes no file that is open
            self._cursor_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file, as the end of the process does; what was saved stays."""
        if self._cursor_file is not None:
            os.close(self._cursor_file)
            self._cursor_file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove_stale(self, now: float) -> None:
        """Remove what kernels that are gone left behind long before `now` (seconds since 1970)."""
        with contextlib.suppress(OSError):
            left: dict[str, list[Path]] = {}
            for path in self._folder.iterdir():
                left.setdefault(path.stem, []).append(path)
            for name, files in left.items():
                last_used = max((path.stat().st_mtime for path in files), default=now)
                if now - last_used > MAX_AGE_SECONDS and not is_held(self._folder / f"{name}.cursor"):
                    for path in files:
                        path.unlink(missing_ok=True)


def count_bindings(runtime_folder: Path) -> int:
    """Return how many kernels have a binding, this one perhaps among them; raises `OSError`."""
    return sum(1 for _ in (runtime_folder / BINDINGS_FOLDER).glob("*.json"))


def read_binding(path: Path) -> Binding | None:
    """Return what a kernel has saved; `None` when there is nothing, or nothing readable."""
    try:
        binding: Binding = from_fields(Binding, read_json_object(path, ANSWER))
    except (OSError, WireError):
        return None
    return binding if is_identifier(binding.identifier) else None


def after_restart(binding: Binding, epoch: str = "") -> Binding:
    """Return the binding once the pod has restarted the interpreter: whatever is there now is right.

    Args:
        epoch: what is there, as far as the pod has told.
    """
    return replace(binding, epoch="", restart=False, restarted=epoch or binding.restarted, untold="")
