"""Files that arrive together, that are fetched together, and that go together."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISREG, S_IXUSR

from remote_kernel.core.wire.file_batches import BatchFile, FileVersion, packed_bytes
from remote_kernel.pod.files.data_folder import (
    DataFolder,
    InvalidPath,
    NewFile,
    WrongKind,
    explaining,
    may_replace,
    version_of,
)


def write_files(data: DataFolder, folder: str, files: Sequence[BatchFile]) -> list[FileVersion]:
    """Write files, each whole or not at all, with the folders that they need; return them in the same order.

    Raises:
        InvalidPath: one of them would be outside the data folder, or two are the same file; nothing was written.
        WrongKind: one of them is a folder there, or is below a file; nothing was written.
        NotWritable: the system refuses; those before it were written.
    """
    data.check_writable()
    targets = {file.path: data.resolve_below(folder, file.path) for file in files}
    _check(data.root, targets)
    return [FileVersion(path=file.path, version=_write(targets[file.path], file)) for file in files]


def _check(root: Path, targets: dict[str, Path]) -> None:
    """Raise an error where not all of these can be files."""
    folders = {parent for target in targets.values() for parent in target.parents if parent.is_relative_to(root)}
    if len({*targets.values()}) < len(targets):  # by links
        raise InvalidPath("Two of the paths mean the same file.")
    for path, target in targets.items():
        if target in folders or target.is_dir():
            raise WrongKind(f"'{path}' is a folder, not a file.")
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise WrongKind(f"'{folder.relative_to(root)}' is a file, not a folder.")


def _write(target: Path, file: BatchFile) -> str:
    """Write a file; return its version, "" where another one is there than it may replace."""
    if not may_replace(target, file.version):
        return _version_of_same(target, file)
    new = NewFile(target)
    try:
        new.append(file.content)
        return new.finish(is_executable=file.is_executable, modified=file.modified)
    except BaseException:
        new.abandon()
        raise


def _version_of_same(target: Path, file: BatchFile) -> str:
    """Return the version of a file that is what was sent, as when the answer was lost; "" of any other one."""
    try:
        status = target.stat()
        is_alike = S_ISREG(status.st_mode) and status.st_size == len(file.content)
        is_same = is_alike and bool(status.st_mode & S_IXUSR) == file.is_executable
        return version_of(status) if is_same and target.read_bytes() == file.content else ""
    except OSError:
        return ""


def read_files(data: DataFolder, folder: str, files: Sequence[FileVersion], most: int) -> list[BatchFile]:
    """Return the first of these files that fit into a batch, and one at least; of another version now, one is empty.

    Args:
        most: how many bytes a batch may have.

    Raises:
        InvalidPath: one of them is outside the data folder.
    """
    places = [data.resolve_below(folder, file.path) for file in files]
    found: list[BatchFile] = []
    room = most
    for place, file in zip(places, files, strict=True):
        read = _read(place, file, room)
        if read is None and found:
            break
        found.append(read or BatchFile(path=file.path, content=b"", modified=0.0, version=""))
        room -= packed_bytes(file.path, len(found[-1].content))
    return found


def _read(place: Path, file: FileVersion, room: int) -> BatchFile | None:
    """Read a file; return `None` where it is too large."""
    other = BatchFile(path=file.path, content=b"", modified=0.0, version="")
    try:
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
            status = os.fstat(opened.fileno())
            if not S_ISREG(status.st_mode) or version_of(status) != file.version:
                return other
            if packed_bytes(file.path, status.st_size) > room:
                return None
            content = opened.read(status.st_size + 1)
            if version_of(os.fstat(opened.fileno())) != file.version or len(content) != status.st_size:
                return other
    except OSError:
        return other
    return BatchFile(
        path=file.path,
        content=content,
        modified=max(status.st_mtime, 0.0),
        is_executable=bool(status.st_mode & S_IXUSR),
        version=file.version,
    )


def remove_files(data: DataFolder, folder: str, files: Iterable[FileVersion]) -> tuple[list[str], list[str]]:
    """Remove the files that are what they were; return the paths of what is not there any more, and of what is kept.

    A link goes, and what it leads to stays. Folders go, too, that are empty then and below `folder`, and those that are
    named with the version "" if they are empty.

    Raises:
        InvalidPath: one of them would be outside the data folder; nothing was removed.
        NotWritable: the system refuses.
    """
    data.check_writable()
    top = data.resolve(folder)
    places = {file.path: data.place_below(folder, file.path) for file in files}
    removed: list[str] = []
    kept: list[str] = []
    for file in files:
        place = places[file.path]
        if _remove(place, file.version):
            removed.append(file.path)
            _remove_empty(place.parent, top)
        else:
            kept.append(file.path)
    return removed, kept


def _remove(place: Path, version: str) -> bool:
    """Remove a file if it is of this version; return whether there is nothing at its path, any more."""
    with explaining(), contextlib.suppress(FileNotFoundError):
        if not version and place.is_dir() and not place.is_symlink():
            with contextlib.suppress(OSError):
                place.rmdir()
        if not place.is_file() or version_of(place.stat()) != version:
            return not os.path.lexists(place)
        place.unlink()
    return True


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, as far as they are empty and below `top`."""
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent
