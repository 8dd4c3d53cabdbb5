"""Files of the session to this machine: whole folders, resumed, checked, and nowhere but where the user said.

A download has two steps: a plan, which writes nothing, and its run. Between them its user says what becomes of files
that are here already and differ.
"""

import asyncio
import contextlib
import errno
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from remote_kernel.client.files.file_fetcher import FileFetcher
from remote_kernel.client.files.patient_files import PatientFiles, if_there
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.target_folder import Found, Parts, TargetFolder
from remote_kernel.client.files.transfer import Progress, Told, join_sentences, list_names
from remote_kernel.core.download_paths import (
    Places,
    System,
    Wanted,
    Wish,
    find_problem,
    join,
    names_beside,
    parse_wish,
    shown,
)
from remote_kernel.core.errors import PoolRefused, TransferError
from remote_kernel.core.text.human_numbers import format_bytes
from remote_kernel.core.wire import files as wire

# What the next file would meet as well.
_STOPPING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

# Files that are written to all the time, such as logs, may have grown by so much together since they were listed, which
# is what the user has agreed to.
MAX_GROWN_BYTES = 64_000_000


class Choice(Enum):
    """Choice for a file that is here and differs from that of the session."""

    REPLACE = auto()
    KEEP = auto()  # and the session's is not fetched
    KEEP_BOTH = auto()


@dataclass(frozen=True, slots=True)
class Differing:
    """A file that is wanted, and another one that is here in its place."""

    wanted: Wanted
    found: Found


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """Plan of a download.

    Attributes:
        places: where all that is wanted goes.
        new: folders, and files that are not here.
        differing: files that are here, and others in the session.
    """

    places: Places
    new: list[Wanted] = field(default_factory=list)
    differing: list[Differing] = field(default_factory=list)


class Download:
    """Fetches files of the session.

    Args:
        progress: told how far it is.
        to: the folder that they go to; made if it is not there.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, *, to: Path, patience_seconds: float) -> None:
        self._files = PatientFiles(files, progress, patience_seconds)
        self._progress = progress
        self._to = to
        self._folder = TargetFolder(to)
        self._system = System.of_platform(sys.platform)
        self._fetcher = FileFetcher(self._files, self._folder)
        self._grown_bytes = 0
        self.told = Told()

    async def plan(self, paths: Sequence[str]) -> DownloadPlan:
        """Find out what `paths` mean (files, folders with all in them, patterns in their last part), and what is here.

        Raises:
            TransferError: there is no such file, or a path cannot be used.
            PoolError, SessionLost.
        """
        wishes = [parse_wish(path) for path in paths]
        with self._using_target(), contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(self._to.stat().st_mode):
                raise TransferError(f"'{shown(str(self._to))}' is a file, not a folder.")
        plan = DownloadPlan(Places(self._system))
        for wish, path in zip(wishes, paths, strict=True):
            await self._find(wish, path, plan.places)
        self._tell_left_out(plan.places)
        self._progress.files = sum(not item.is_folder for item in plan.places.wanted)
        self._progress.bytes = sum(item.size for item in plan.places.wanted)
        await self._compare_all(plan)
        return plan

    async def run(self, plan: DownloadPlan, choice: Choice) -> None:
        """Fetch what was planned; `told` says then what could not be.

        Raises:
            TransferError: nothing could be, or nothing more.
            PoolError, SessionLost.
        """
        beside: list[str] = []
        if plan.new or plan.differing:
            with self._using_target():
                self._to.mkdir(parents=True, exist_ok=True)
        for item in plan.new:
            with self._counting(item):
                await self._fetch_item(item)
        for differing in plan.differing:
            if choice is Choice.KEEP:
                self._leave(differing.wanted)
                continue
            with self._counting(differing.wanted):
                if choice is Choice.REPLACE:
                    await self._replace(differing)
                else:
                    beside.append(await self._fetch_beside(differing.wanted, plan.places))
        self._tell_kept(plan, choice, beside)
        if self.told.failures and not self._progress.files_done and not any(item.is_folder for item in plan.new):
            raise TransferError(join_sentences(self.told.failures))

    @contextlib.contextmanager
    def _using_target(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "that is no path"
            raise TransferError(f"The folder '{shown(str(self._to))}' cannot be used: {reason}.") from None

    async def _find(self, wish: Wish, path: str, places: Places) -> None:
        """Add what a wish means."""
        try:
            metadata = await if_there(self._files.describe(wish.source))
        except PoolRefused as error:
            raise TransferError(f"'{shown(path)}': {error}") from None
        if metadata is not None:
            await self._find_named(wish, metadata, places)
        elif not await self._find_matching(wish, places):
            raise TransferError(f"There is no file or folder '{shown(path)}' in the session.")

    async def _find_named(self, wish: Wish, metadata: wire.Metadata, places: Places) -> None:
        """Add a file or folder that the user has named, or the whole folder that cells run in."""
        if wish.name:
            if problem := find_problem(wish.name, self._system):
                raise TransferError(f"'{shown(wish.name)}' cannot be written here: {problem}.")
            is_folder, size = metadata.is_folder, metadata.size
            if not places.add(wish, wish.name, wish.source, is_named=True, is_folder=is_folder, size=size):
                return
        elif not metadata.is_folder:
            raise TransferError("The session says that the folder that cells run in is a file.")
        if metadata.is_folder:
            await self._find_below(wish, wish.name, wish.source, places, is_named=bool(wish.name))

    async def _find_matching(self, wish: Wish, places: Places) -> bool:
        """Add what a pattern means; return whether that is anything."""
        if not wish.is_pattern:
            return False
        entries: list[wire.RemoteEntry] = []
        with contextlib.suppress(PoolRefused):
            entries = await self._files.list(wish.parent)
        matching = [entry for entry in entries if wish.matches(entry.path)]
        for entry in matching:
            source = join(wish.parent, entry.path)
            is_folder, size = entry.is_folder, entry.size
            if places.add(wish, entry.path, source, is_named=False, is_folder=is_folder, size=size) and is_folder:
                await self._find_below(wish, entry.path, source, places, is_named=False)
        return bool(matching)

    async def _find_below(self, wish: Wish, path: str, source: str, places: Places, *, is_named: bool) -> None:
        """Add what is in a folder."""
        entries = await self._files.list(source, is_recursive=True)

        def add_all() -> None:
            for entry in entries:
                places.add(
                    wish,
                    f"{path}/{entry.path}" if path else entry.path,
                    join(source, entry.path),
                    is_named=is_named,
                    is_folder=entry.is_folder,
                    size=entry.size,
                )

        await asyncio.to_thread(add_all)  # there may be very many

    def _tell_left_out(self, places: Places) -> None:
        for path, problem in places.refused.items():
            self.told.failures.append(f"'{shown(path)}' cannot be written here: {problem}.")
        if places.hidden:
            names = list_names(list(places.hidden))
            self.told.notes.append(f"{names} stayed in the session: what is hidden is fetched when it is named.")

    def _tell_kept(self, plan: DownloadPlan, choice: Choice, beside: Sequence[str]) -> None:
        if choice is Choice.KEEP and plan.differing:
            names = list_names([differing.wanted.path for differing in plan.differing])
            self.told.notes.append(f"Not replaced: {names}.")
        if beside:
            self.told.notes.append(
                f"What is here and differs stayed; the session's is in {list_names(beside)} (--force replaces)."
            )

    @contextlib.contextmanager
    def _counting(self, item: Wanted) -> Iterator[None]:
        """Note what went wrong with a file, which then counts no more; raises what the next one would meet as well."""
        self._progress.name = item.path
        done_before = self._progress.bytes_done
        try:
            yield
        except OSError as error:
            failure = f"'{shown(str(self._to / item.path))}' cannot be written: {error.strerror}."
            if error.errno in _STOPPING:
                raise TransferError(failure) from None
        except PoolRefused as error:
            failure = _explain(item, error)
        except TransferError as error:
            failure = str(error)
        else:
            return
        self.told.failures.append(failure)
        self._progress.bytes_done = done_before
        self._leave(item)

    def _leave(self, item: Wanted) -> None:
        if not item.is_folder:
            self._progress.files -= 1
            self._progress.bytes -= item.size

    async def _compare_all(self, plan: DownloadPlan) -> None:
        barred: set[Parts] = set()
        for item in plan.places.wanted:
            if not barred.isdisjoint(item.parts[:length] for length in range(1, len(item.parts))):
                self._leave(item)  # why has been told of the folder
                continue
            failures = len(self.told.failures)
            with self._counting(item):
                await self._compare(item, plan)
            if len(self.told.failures) > failures:
                barred.add(item.parts)

    async def _compare(self, item: Wanted, plan: DownloadPlan) -> None:
        """Find out whether something else is in the place of a file or folder."""
        look = self._folder.look_for_folder if item.is_folder else self._folder.look
        found = await asyncio.to_thread(look, item.parts)
        if found is None:
            plan.new.append(item)
        elif found.size == item.size and await self._is_same(item.parts, found, await self._describe(item.source)):
            self._done(item, is_unchanged=True)
        elif found.is_link:
            raise self._folder.describe_link(item.parts)
        else:
            plan.differing.append(Differing(item, found))

    async def _is_same(self, parts: Parts, found: Found, metadata: wire.Metadata) -> bool:
        if found.size != metadata.size:
            return False
        return await asyncio.to_thread(self._folder.digest, parts, found) == metadata.sha256

    def _done(self, item: Wanted, *, is_unchanged: bool = False) -> None:
        self._progress.files_done += 1
        self._progress.unchanged += is_unchanged
        if is_unchanged:
            self._progress.bytes_done += item.size

    async def _describe(self, path: str) -> wire.Metadata:
        metadata = await self._files.describe(path, with_checksum=True)
        if metadata.is_folder:
            raise TransferError(f"'{shown(path)}' is a folder now, and was a file.")
        return metadata

    async def _fetch_item(self, item: Wanted) -> None:
        if item.is_folder:
            await asyncio.to_thread(self._folder.make_folder, item.parts)
        else:
            await self._fetch(item, item.parts, await self._describe(item.source), replaces=None)

    async def _replace(self, differing: Differing) -> None:
        item = differing.wanted
        await self._fetch(item, item.parts, await self._describe(item.source), replaces=differing.found)

    async def _fetch_beside(self, item: Wanted, places: Places) -> str:
        """Fetch a file under the first name that is free, or has the same file already; return its path."""
        metadata = await self._describe(item.source)
        names = names_beside(item.parts[-1])
        while True:
            parts = (*item.parts[:-1], next(names))
            if places.is_taken(parts):
                continue
            try:
                found = await asyncio.to_thread(self._folder.look, parts)
            except TransferError:
                continue  # a folder or a link has that name
            if found is None:
                await self._fetch(item, parts, metadata, replaces=None)
            elif await self._is_same(parts, found, metadata):
                self._done(item, is_unchanged=True)
            else:
                continue
            return "/".join(parts)

    async def _fetch(self, item: Wanted, parts: Parts, metadata: wire.Metadata, *, replaces: Found | None) -> None:
        self._grown_bytes += (grown := max(0, metadata.size - item.size))
        if self._grown_bytes > MAX_GROWN_BYTES:
            self._grown_bytes -= grown
            raise TransferError(
                f"'{shown(item.source)}' has {format_bytes(metadata.size)} now, and had {format_bytes(item.size)} when "
                "it was listed: download it again."
            )
        await self._fetcher.fetch(item.source, parts, metadata, replaces=replaces)
        self._done(item)


def _explain(item: Wanted, error: PoolRefused) -> str:
    """Return why a file could not be fetched."""
    if error.code == wire.FILE_CHANGED:
        return f"'{shown(item.source)}' changed while it was fetched: download it again once it is complete."
    if error.code == wire.FILE_MISSING:
        return f"'{shown(item.source)}' is not there any more, or cannot be read."
    return f"'{shown(item.source)}': {error}"
