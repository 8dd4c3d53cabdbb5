"""Files of this machine to the session: whole folders, resumed, checked."""

import asyncio
import contextlib
import glob
import os
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from remote_kernel.client.files.local_paths import expand_user
from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress, Told, list_names
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import PoolRefused, TransferError
from remote_kernel.core.jupyter.messages import is_unicode
from remote_kernel.core.wire import files as wire
from remote_kernel.io.file_pieces import digest, read_piece

LEADS_OUT = "Links that lead out of their folder were not sent: {names}. Name them to send what they lead to."
NO_FILE = "Links that lead to no file were not sent: {names}. Name those to folders to send what is in them."
SPECIAL = "Pipes, sockets and devices were not sent: {names}."
NO_UNICODE = "Names that are no Unicode were not sent: {names}. Rename them first."


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalItem:
    """A file or folder, and its path in the session.

    Attributes:
        modified: the time that the file is to have there, in seconds since 1970; `None` for when it is complete.
        replaces: the version of the only file that it may replace, "" for none; `None` for any.
    """

    source: Path
    target: str
    size: int
    is_folder: bool = False
    modified: float | None = None
    is_executable: bool = False
    replaces: str | None = None


@dataclass(slots=True)
class UploadPlan:
    """Plan of an upload.

    Attributes:
        items: folders before what is in them.
        left_out: what is not sent, by the kind of it.
    """

    items: list[LocalItem] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    _of_target: dict[str, LocalItem] = field(default_factory=dict)

    def add(self, item: LocalItem) -> None:
        """Add what is not in it yet; raises `TransferError` where it would replace another file."""
        other = self._of_target.setdefault(item.target, item)
        if other is item:
            self.items.append(item)
        elif not ((item.is_folder and other.is_folder) or item.source.samefile(other.source)):
            raise TransferError(
                f"'{other.source}' and '{item.source}' would both be '{shown(item.target)}' in the session: send one "
                "of them to another folder."
            )

    def leave_out(self, kind: str, source: Path) -> None:
        """Note what is not sent."""
        self.left_out.setdefault(kind, []).append(str(source))

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each kind of what is left out."""
        for kind, names in self.left_out.items():
            yield kind.format(names=list_names(names))


def plan_upload(paths: Sequence[str], *, to: str, base: Path) -> UploadPlan:
    """Return what `paths` mean: files, folders with all in them, or patterns with `*`, `?` and `[…]`.

    A link that a path means is followed, as in a shell. In a folder, links to files are followed that stay in it: one
    that leads elsewhere, as in a repository of somebody else's, is no reason to send a file that nobody named. Links to
    folders are not followed. What is meant twice is sent once.

    Args:
        to: folder in the session.
        base: what relative paths are relative to.

    Raises:
        TransferError: there is no such file, or it cannot be read; or two would be one in the session.
    """
    if not is_unicode(to):
        raise TransferError(f"The folder '{shown(to)}' cannot be in the session: its name is no Unicode.")
    plan = UploadPlan()
    for text in paths:
        for source in _find(text, base):
            # The name that the user sees, also of ".." and of links.
            name = Path(os.path.abspath(source)).name  # noqa: PTH100 - resolve() would follow links
            with _reading(source):
                if not (source.is_dir() or source.is_file()):
                    raise TransferError(f"'{source}' is neither a file nor a folder, so it cannot be uploaded.")
            _add(plan, source, PurePosixPath(to) / name, root=source)
    return plan


def _find(text: str, base: Path) -> list[Path]:
    path = expand_user(text)
    if (base / path).exists():
        return [base / path]
    # Only what the user wrote is a pattern, and not the name of the folder that it is in.
    found = sorted(base / name for name in glob.glob(str(path), root_dir=base))  # noqa: PTH207 - takes absolute ones
    if not found:
        raise TransferError(f"There is no file or folder '{text}' on this machine (looked in {base}).")
    return found


def _add(plan: UploadPlan, source: Path, target: PurePosixPath, *, root: Path) -> None:
    with _reading(source):
        is_link = source != root and source.is_symlink()
        if not is_unicode(source.name):
            plan.leave_out(NO_UNICODE, source)
        elif is_link and not source.is_file():
            plan.leave_out(NO_FILE, source)
        elif is_link and not source.resolve().is_relative_to(root.resolve()):
            plan.leave_out(LEADS_OUT, source)
        elif source.is_dir():
            plan.add(LocalItem(source=source, target=_text(target), size=0, is_folder=True))
            for child in sorted(source.iterdir()):
                _add(plan, child, target / child.name, root=root)
        elif source.is_file():
            plan.add(LocalItem(source=source, target=_text(target), size=source.stat().st_size))
        elif source.exists():
            plan.leave_out(SPECIAL, source)


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise TransferError(f"'{source}' cannot be read: {getattr(error, 'strerror', '') or error}.") from None


def _text(path: PurePosixPath) -> str:
    return "" if str(path) == "." else str(path)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that is in its place in the session.

    Attributes:
        sha256: of its content, in hex.
        version: of the file there.
        was_there: whether nothing had to be sent.
    """

    sha256: str
    version: str
    was_there: bool


async def send_file(files: PatientFiles, item: LocalItem) -> Sent | None:
    """Send a file; return `None` where it changed meanwhile, and is not there.

    Raises:
        TransferError: it cannot be read, or the session does not take it.
        PoolRefused: another file is there than it may replace (`wire.FILE_CHANGED`).
        PoolError, SessionLost.
    """
    progress, done_before = files.progress, files.progress.bytes_done
    moved_before, received = progress.moved, None

    def note(count: int) -> None:
        progress.bytes_done = done_before + count

    def read(offset: int, most: int) -> Awaitable[bytes]:
        return asyncio.to_thread(read_piece, item.source, offset, most)

    with _explaining(item):
        sha256 = await asyncio.to_thread(digest, item.source)
        try:
            received = await files.send(
                item.target, item.size, sha256, read, note=note,
                modified=item.modified, is_executable=item.is_executable, replaces=item.replaces,
            )  # fmt: skip
        except PoolRefused as error:
            if error.code != wire.CHECKSUM_MISMATCH:
                raise
    note(item.size if received else 0)
    return (
        Sent(sha256, received.version, was_there=bool(item.size) and progress.moved == moved_before)
        if received
        else None
    )


class Upload:
    """Sends what was planned.

    Args:
        progress: told how far it is.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, *, patience_seconds: float) -> None:
        self._files = PatientFiles(files, progress, patience_seconds)
        self._progress = progress
        self.told = Told()

    async def run(self, plan: UploadPlan) -> None:
        """Send everything, one after the other; `told` says then what could not be.

        Raises:
            TransferError: a file cannot be read, or has changed meanwhile.
            PoolError, SessionLost.
        """
        progress = self._progress
        self.told.failures += plan.problems()
        progress.files = sum(not item.is_folder for item in plan.items)
        progress.bytes = sum(item.size for item in plan.items)
        for item in plan.items:
            progress.name = item.target
            if item.is_folder:
                await self._files.make_folder(item.target)
            else:
                await self._send(item)
                progress.files_done += 1

    async def _send(self, item: LocalItem) -> None:
        sent = await send_file(self._files, item)
        if sent is None:
            raise TransferError(f"'{item.source}' changed while it was sent: upload it again once it is complete.")
        self._progress.unchanged += sent.was_there


@contextlib.contextmanager
def _explaining(item: LocalItem) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(f"'{item.source}' cannot be read: {error.strerror}.") from None
    except PoolRefused as error:
        if error.code == wire.NOT_WRITABLE or error.status == 400:
            raise TransferError(f"'{item.target}' was not written in the session: {error}") from None
        raise
