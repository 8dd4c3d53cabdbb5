"""Restoring of one session's variables: what is needed is chosen, checked, sent, and put together there."""

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from remote_kernel.client.routes.route import Route
from remote_kernel.client.saves.progress import SaveProgress, Step
from remote_kernel.client.saves.remote_calls import GONE, PodInterpreter, new_job
from remote_kernel.client.saves.saving import in_threads
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.client.saves.transfers import Transfers
from remote_kernel.core.errors import NotWritten, SaveError, SessionLost, WireError
from remote_kernel.core.saves.manifest import Pack
from remote_kernel.core.saves.packs import PackHeader, parse_contents, wanted_with
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.saves import MAX_SENTENCES, Lost, Report, objects_folder
from remote_kernel.io.threads import in_own_thread

# Gigabytes take minutes; what hangs in a group ends after a time of its own.
CALL_SECONDS = 3600.0
GROUP_SECONDS = 60.0

NO_REPORT = (
    "What the session says of the restore cannot be read ({error}): some variables may be back, and others not. Look "
    "which are there."
)
DAMAGED = "is in a part of the save that is damaged or missing"


class _Parts(NamedTuple):
    """Packs of a save, and the hashes of all objects that they need."""

    packs: Sequence[Pack]
    objects: Collection[str]


class Restoring:
    """Restores variables into one interpreter.

    Args:
        route: to the pod.
        store: where the save is.
        progress: told how far it is.
        patience_seconds: how long nothing at all may get through before it fails.
        group_seconds: how long variables that belong together may take to load.
    """

    def __init__(
        self, route: Route, interpreter: PodInterpreter, store: SaveStore, progress: SaveProgress, *,
        patience_seconds: float, group_seconds: float = GROUP_SECONDS,
    ) -> None:  # fmt: skip
        self._interpreter = interpreter
        self._store = store
        self._progress = progress
        self._group_seconds = group_seconds
        self._transfers = Transfers(route, interpreter, store, progress, patience_seconds)

    async def run(self, save: Save, names: Collection[str] = (), *, force: bool = False) -> Report:
        """Restore variables, all where none is named, and return the report.

        Args:
            force: whether to replace other values; without it, where there are any, nothing is restored.

        Raises:
            SaveError: the save cannot be used, has no such variable, or the session cannot restore it.
            SessionBusy: the session does something else, and has begun nothing.
            PoolError, SessionLost.
        """
        self._progress.begin(Step.CHECKING)
        try:
            async with contextlib.AsyncExitStack() as stack:
                with contextlib.suppress(NotWritten):  # a drive that can only be read
                    await stack.enter_async_context(in_threads(self._store.keeping_objects()))
                return await self._restore(await in_own_thread(self._store.read, save), names, force=force)
        except WireError as error:
            raise SaveError(f"The save '{save.label}' cannot be used: {error}.") from None
        except SessionLost:  # what is of another version may have ended it
            raise SessionLost(f"{GONE} {self._progress.warning}".rstrip()) from None

    async def _restore(self, save: Save, names: Collection[str], *, force: bool) -> Report:
        parts = await in_own_thread(self._choose, save, names)
        versions = {"python": save.manifest.python, "libraries": dict(save.manifest.libraries)}
        self._progress.warnings = _sentences((await self._call(new_job(), "compare", versions)).get("warnings"))
        self._progress.begin(Step.SENDING)
        folder = self._name_folder()
        damaged = await self._transfers.sender.send(objects_folder(folder), parts.objects)
        packs = [pack for pack in parts.packs if damaged.keys().isdisjoint(each.hash for each in pack)]
        if damaged and not packs:
            raise next(iter(damaged.values()))
        self._progress.begin(Step.LOADING)
        arguments = {
            "packs": [{"objects": [list(each) for each in pack]} for pack in packs],
            "names": sorted(names) if names else None,
            "force": force,
            "group_seconds": self._group_seconds,
        }
        async with self._transfers.calls.job() as job:
            report = _parse_report(await self._load(job, arguments, folder))
        hurt = [pack for pack in parts.packs if pack not in packs]
        lost = await in_own_thread(self._list_lost, hurt, names)
        warnings = dict.fromkeys([*self._progress.warnings, *map(str, damaged.values()), *report.warnings])
        return replace(report, warnings=list(warnings)[:MAX_SENTENCES], lost=[*report.lost, *lost])

    async def _load(self, job: str, arguments: Mapping[str, Any], folder: str) -> dict[str, Any]:
        """Have it loaded; where that ends the interpreter, what is of another version there may be the reason."""
        try:
            return await self._call(job, "restore", arguments, objects=folder)
        except SaveError as error:
            raise SaveError(f"{error} {self._progress.warning}".rstrip()) from None

    async def _call(self, job: str, call: str, arguments: Mapping[str, Any], *, objects: str = "") -> dict[str, Any]:
        return await self._transfers.calls.call(
            job, call, arguments, self._progress.hear, seconds=CALL_SECONDS, objects=objects
        )

    def _choose(self, save: Save, names: Collection[str]) -> "_Parts":
        """Return the packs that are needed, and the hashes of all objects; reads files. Raises `SaveError`."""
        manifest = save.manifest
        if not names:
            return _Parts(manifest.packs, [each.hash for each in manifest.objects])
        headers, problems = self._read_headers(manifest.packs)
        missing = {*names}.difference(*(header.names for header in headers.values()))
        if missing:
            raise problems[0] if problems else SaveError(f"The save '{save.label}' has no variable {min(missing)!r}.")
        wanted = wanted_with(names, headers.values())
        packs: list[Pack] = []
        objects: set[str] = set()
        for pack, header in headers.items():
            buffers = header.buffers_of(wanted)
            # The last one has what is around the variables, and those that were lost.
            if buffers is not None or pack is manifest.packs[-1]:
                packs.append(pack)
                objects.update(each.hash for each in (*pack, *(buffers or ())))
        return _Parts(packs, objects)

    def _read_headers(self, packs: Iterable[Pack]) -> tuple[dict[Pack, PackHeader], list[SaveError]]:
        """Return the headers of packs, and what is wrong with those that cannot be read."""
        headers: dict[Pack, PackHeader] = {}
        problems: list[SaveError] = []
        for pack in packs:
            try:
                headers[pack] = PackHeader.from_bytes(self._store.read_header(pack))
            except SaveError as error:
                problems.append(error)
            except WireError as error:
                problems.append(SaveError(f"A part of the save cannot be read: {error}."))
        return headers, problems

    def _list_lost(self, packs: Iterable[Pack], names: Collection[str]) -> list[Lost]:
        """Return the variables of damaged packs, as far as their beginnings can be read."""
        lost: list[Lost] = []
        for pack in packs:
            with contextlib.suppress(SaveError, WireError):
                told = parse_contents(self._store.read_header(pack))
                lost += [
                    Lost(name=each.name, type=each.type, cell=each.cell, reason=DAMAGED)
                    for each in told.restored
                    if not names or each.name in names
                ]
                lost += [each for each in told.lost if not names or each.name in names]
        return lost

    def _name_folder(self) -> str:
        """Return the name of the folder in which another try finds what was sent, whichever save it restores."""
        text = f"{self._interpreter.kernel}/{self._store.folder.name}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _parse_report(answer: Mapping[str, Any]) -> Report:
    """Return what the program says of a restore; raises `SaveError`, as something was restored."""
    try:
        return Report.from_json(answer)
    except WireError as error:
        raise SaveError(NO_REPORT.format(error=error)) from None


def _sentences(value: object) -> list[str]:
    """Return what the program warns of before it loads anything."""
    return Report.from_json({"warnings": value if isinstance(value, list) else []}).warnings
