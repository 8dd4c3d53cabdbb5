"""The data folder of a pod: which file a path from outside means, and what is done with it.

A path never leads out of the folder, whatever it is made of: `parse_path` decides by the text alone, and `DataFolder`
follows what the file system says of symbolic links. Who runs code in the pod may of course swap a file for a link
between the look and the use; that code can read as much as we can.
"""

import contextlib
import mimetypes
import os
import shutil
import tempfile
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath, PurePosixPath
from stat import S_IMODE, S_ISDIR, S_ISREG

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.numbers import MOMENT

# Where Azure's pods keep the user's files, and so what clients write in front of a path, wherever the folder really is.
AZURE_DATA = Path("/mnt/data")

# What Linux and macOS allow for one name, in bytes.
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096

# Files that are not complete; nobody is shown them.
UPLOAD_PREFIX = ".upload-"

DEFAULT_CONTENT_TYPE = "application/octet-stream"


class InvalidPath(RemoteKernelError):
    """The path means nothing in the data folder, or something outside it."""


class FileMissing(RemoteKernelError):
    """There is no file or folder at the path."""


class WrongKind(RemoteKernelError):
    """The path is a folder where a file is wanted, or the other way round."""


class NotWritable(RemoteKernelError):
    """The system refuses to write in the data folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or folder in the data folder.

    Attributes:
        directory: the folder that it is in, relative to the one that was asked for; "" for that folder itself.
        size: in bytes; of a folder, what the file system says.
        version: changes whenever the file does.
        permissions: the bits of its mode.
    """

    name: str
    directory: str
    is_directory: bool
    size: int
    modified: datetime
    version: str
    permissions: int = 0

    @property
    def content_type(self) -> str:
        """The media type, guessed from the name."""
        return mimetypes.guess_type(self.name)[0] or DEFAULT_CONTENT_TYPE


def parse_path(text: str, roots: tuple[str, ...] = (str(AZURE_DATA),)) -> PurePosixPath:
    """Return the path inside the data folder that `text` means: relative, without `..`, "." for the folder itself.

    Args:
        text: as it comes out of a URL or a form, percent signs decoded once. A path that begins with one of `roots` is
            relative to it; any other one that begins with "/" is refused.

    Raises:
        InvalidPath: it would lead out of the folder, or cannot be the name of a file.
    """
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise InvalidPath("A path has to be valid Unicode.") from None
    if "\0" in text or size > MAX_PATH_BYTES:
        raise InvalidPath(f"A path may have {MAX_PATH_BYTES} bytes, none of them zero.")
    parts = [part for part in _without_root(text, roots).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidPath("A path may not contain '..': name the file by its place below the data folder.")
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        raise InvalidPath(f"The name of a file may have {MAX_NAME_BYTES} bytes.")
    return PurePosixPath(*parts)


def _without_root(text: str, roots: tuple[str, ...]) -> str:
    if not text.startswith("/"):
        return text
    for root in roots:
        if text == root or text.startswith(root.rstrip("/") + "/"):
            return text[len(root) :]
    raise InvalidPath(f"An absolute path has to begin with {roots[0]}, the data folder.")


def _join(folder: str, path: str) -> str:
    if path.startswith("/") or not parse_path(path).parts:
        raise InvalidPath("The path of a file has to be relative to the folder that the request names.")
    return f"{folder}/{path}" if folder else path


class DataFolder:
    """The files of one pod.

    Args:
        root: the folder, which exists.
        is_read_only: whether all that would change it is refused.
    """

    def __init__(self, root: Path, *, is_read_only: bool = False) -> None:
        self._is_read_only = is_read_only
        self.root = root.resolve()
        self._roots = tuple(dict.fromkeys((str(AZURE_DATA), str(root), str(self.root))))

    def resolve(self, path: str) -> Path:
        """Return the file or folder that `path` means, with no symbolic link left in it; it need not exist.

        Raises:
            InvalidPath: see `parse_path`; or a link leads out of the folder.
        """
        try:
            resolved = (self.root / parse_path(path, self._roots)).resolve()
        except (OSError, RuntimeError):
            raise InvalidPath("The path is a circle of symbolic links.") from None
        if not resolved.is_relative_to(self.root):
            raise InvalidPath("The path leads out of the data folder.")
        return resolved

    def resolve_below(self, folder: str, path: str) -> Path:
        """Return what `path`, relative to `folder`, means, as `resolve` does; raises `InvalidPath`, also for the folder
        itself."""
        return self.resolve(_join(folder, path))

    def place_below(self, folder: str, path: str) -> Path:
        """As `resolve_below`, with the last part as it stands, which may be a link."""
        return self._unresolved(_join(folder, path))

    def describe(self, path: str) -> Entry:
        """Return what is at `path`; raises `InvalidPath` or `FileMissing`."""
        target = self._existing(path)
        return _describe(target, directory=_text(target.parent.relative_to(self.root)) if target != self.root else "")

    def entries(self, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """Return what is in a folder, by name; with `recursive` also what is in the folders below it.

        Links are listed as what they lead to, and not followed into folders; those that lead out of the data folder or
        nowhere are left out.

        Raises:
            InvalidPath, FileMissing.
            WrongKind: the path is a file.
        """
        folder = self._existing(path)
        if not folder.is_dir():
            raise WrongKind("The path is a file, not a folder.")
        return list(self._walk(folder, PurePosixPath(), recursive))

    def _walk(self, folder: Path, directory: PurePosixPath, recursive: bool) -> Iterator[Entry]:
        try:
            children = sorted(folder.iterdir())
        except OSError:
            return  # removed, or closed to us, in the meantime
        for child in children:
            if child.name.startswith(UPLOAD_PREFIX) or (child.is_symlink() and not self._leads_inside(child)):
                continue
            try:
                yield _describe(child, directory=_text(directory))
            except FileMissing:
                continue
            if recursive and child.is_dir() and not child.is_symlink():
                yield from self._walk(child, directory / child.name, recursive)

    def _leads_inside(self, link: Path) -> bool:
        try:
            return link.resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False

    def file(self, path: str) -> Path:
        """Return the existing file at `path`; raises `InvalidPath`, `FileMissing` or `WrongKind`."""
        target = self._existing(path)
        if not target.is_file():
            raise WrongKind("The path is not a file.")
        return target

    async def write(self, path: str, pieces: AsyncIterable[bytes]) -> Entry:
        """Write a file, whole or not at all, with the folders that it needs; return it.

        Raises:
            InvalidPath.
            WrongKind: a folder has this path, or a file that of a folder on the way.
            NotWritable: the system refuses, as when the disk is full.
        """
        self.check_writable()
        target = self.resolve(path)
        if target.is_dir():
            raise WrongKind("The path is a folder.")
        upload = NewFile(target)
        try:
            async for piece in pieces:
                upload.append(piece)
            upload.finish()
        except BaseException:
            upload.abandon()
            raise
        return self.describe(path)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it; a link goes, and what it leads to stays.

        Raises:
            InvalidPath: see `parse_path`; or it is the data folder itself.
            FileMissing, NotWritable.
        """
        self.check_writable()
        target = self._unresolved(path)
        try:
            if target.is_symlink() or not target.is_dir():
                target.unlink()
            else:
                shutil.rmtree(target)
        except (FileNotFoundError, NotADirectoryError):
            raise FileMissing("There is no file of this name.") from None
        except OSError as error:
            raise NotWritable(f"The file cannot be removed: {error.strerror}.") from None

    def check_writable(self) -> None:
        """Return where files may be written; raises `NotWritable`."""
        if self._is_read_only:
            raise NotWritable("The data folder cannot be written.")

    def _unresolved(self, path: str) -> Path:
        """Return the path with its last part as it stands, which may be a link."""
        relative = parse_path(path, self._roots)
        if not relative.parts:
            raise InvalidPath("The data folder itself stays.")
        return self.resolve(str(relative.parent)) / relative.name

    def _existing(self, path: str) -> Path:
        target = self.resolve(path)
        if not target.exists():
            raise FileMissing("There is no file of this name.")
        return target


class NewFile:
    """A file that gets its name when it is complete; raises `WrongKind` and `NotWritable`."""

    def __init__(self, target: Path) -> None:
        self._target = target
        with explaining():
            target.parent.mkdir(parents=True, exist_ok=True)
            # Beside the target, as a file can only be moved at once within one file system.
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=UPLOAD_PREFIX)
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)

    def append(self, piece: bytes) -> None:
        """Add bytes at its end."""
        with explaining():
            self._file.write(piece)

    def finish(self, *, is_executable: bool = False, modified: float | None = None) -> str:
        """Put the file in its place; return its version."""
        with explaining():
            self._file.close()
            return put_in_place(self._path, self._target, is_executable=is_executable, modified=modified)

    def abandon(self) -> None:
        """Forget the file, unless it is in its place."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def put_in_place(path: Path, target: Path, *, is_executable: bool = False, modified: float | None = None) -> str:
    """Let a complete file take the place of `target`, in the same folder; return its version. Raises `OSError`.

    Args:
        modified: its time, in seconds since 1970; `None` for now.
    """
    path.chmod(0o755 if is_executable else 0o644)  # as what the session's own code writes
    if modified is not None:
        os.utime(path, (modified, modified))
    with path.open("rb") as file:
        path.replace(target)
        return version_of(os.fstat(file.fileno()))  # and not of what may have taken its place since


def version_of(status: os.stat_result) -> str:
    """Return what tells a file from every other that has been in its place: its times alone may be set back."""
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"


def may_replace(target: Path, version: str | None) -> bool:
    """Return whether what is at a place is a file of this version, or for "" nothing; for `None` it may be anything."""
    if version is None:
        return True
    try:
        return version_of(target.stat()) == version
    except OSError:
        return not version


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Turn what the system says of writing into `WrongKind` and `NotWritable`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise WrongKind("A part of the path is a file, not a folder.") from None
    except OSError as error:
        raise NotWritable(f"The file cannot be written: {error.strerror}.") from None


def _describe(path: Path, *, directory: str) -> Entry:
    """Return what is at a path; raises `FileMissing`, also for what can be read by nobody, such as a pipe."""
    try:
        status = path.stat()
    except OSError:
        status = None
    if status is None or not (S_ISREG(status.st_mode) or S_ISDIR(status.st_mode)):
        raise FileMissing("There is no file of this name.")
    return Entry(
        name=_text(PurePath(path.name)),
        directory=directory,
        is_directory=S_ISDIR(status.st_mode),
        size=status.st_size,
        modified=datetime.fromtimestamp(MOMENT.check(status.st_mtime, "its time"), UTC),
        version=version_of(status),
        permissions=S_IMODE(status.st_mode),
    )


def _text(path: PurePath) -> str:
    """Return a path for people and JSON: names that are no UTF-8 have a sign of replacement in them."""
    return "" if str(path) == "." else os.fsencode(path).decode(errors="replace")
