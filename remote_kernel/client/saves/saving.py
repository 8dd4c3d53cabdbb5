"""Saving of one session's variables: asked for, followed, fetched, and kept here whole or not at all."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager

from remote_kernel.client.routes.route import Route
from remote_kernel.client.saves.fetching import DAMAGED
from remote_kernel.client.saves.progress import SaveProgress, Step
from remote_kernel.client.saves.remote_calls import GONE, PodInterpreter
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.client.saves.transfers import Transfers
from remote_kernel.core.errors import NothingToSave, SaveError, SessionLost, WireError
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.names import parse_name
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.saves import SaveLimits, job_folder
from remote_kernel.io.threads import in_own_thread

# Behind its time a save has to be written down.
ENDING_SECONDS = 60.0

# As many as one order takes; of what is not told the session makes files that nobody fetches.
MAX_KNOWN = MANIFEST.entries or 0

# What is found to be damaged here is asked for once more.
TRIES = 2
# Objects that are checked at once: who gives up a save does not wait for gigabytes.
AT_ONCE = 16

NOTHING = "There is nothing to save: the session has no variables."
STILL_DAMAGED = "What is written to {folder} is not there again when it is read: nothing was saved."


class Saving:
    """Saves the variables of one interpreter.

    Args:
        route: to the pod.
        store: where saves are kept.
        progress: told how far it is.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(
        self, route: Route, interpreter: PodInterpreter, store: SaveStore, progress: SaveProgress, *,
        patience_seconds: float,
    ) -> None:  # fmt: skip
        self._interpreter = interpreter
        self._store = store
        self._progress = progress
        self._transfers = Transfers(route, interpreter, store, progress, patience_seconds)

    async def run(
        self, name: str = "", *, limits: SaveLimits, notebook: str = "", files: Mapping[str, str] | None = None,
        is_unasked: bool = False,
    ) -> Save:  # fmt: skip
        """Save, and return the save. Where it fails, or is cancelled, the saves that are there stay as they are.

        Args:
            name: given by the user; "" for none.
            notebook, files, is_unasked: noted in the save; see `SaveStore.add`.

        Raises:
            UsageError: it cannot have this name.
            NothingToSave: the session has no variables.
            SaveError: the session cannot save, or what it sends is not to be used.
            SessionBusy: the session does something else, and has begun nothing.
            NotWritten: the disk here is full, or cannot be written.
            PoolError, SessionLost.
        """
        name = parse_name(name) if name else ""
        try:
            async with in_threads(self._store.keeping_objects()):
                for _ in range(TRIES):
                    async with self._transfers.calls.job() as job:
                        await self._take(job, limits)
                        manifest = await self._fetch(job, limits)
                        if not manifest.variables:  # it would be the newest, and stand before those that have some
                            raise NothingToSave(NOTHING)
                        if not await self._is_damaged(manifest):
                            return await in_own_thread(
                                self._store.add, manifest, name=name, now=time.time(), notebook=notebook,
                                pod_kernel=self._interpreter.kernelspec, files=files,
                                session=self._interpreter.epoch, is_unasked=is_unasked,
                            )  # fmt: skip
                raise SaveError(STILL_DAMAGED.format(folder=self._store.folder))
        except WireError as error:
            raise SaveError(DAMAGED.format(error=error)) from None
        except SessionLost:
            raise SessionLost(GONE) from None

    async def _take(self, job: str, limits: SaveLimits) -> None:
        """Have the session write down its variables, but for the objects that are here."""
        self._progress.begin(Step.TAKING)
        known = await in_own_thread(self._store.known)
        arguments = {"known": sorted(known)[:MAX_KNOWN], "limits": limits.to_json(), "fork": True}
        seconds = limits.total_seconds + ENDING_SECONDS
        await self._transfers.calls.call(job, "save", arguments, self._progress.hear, seconds=seconds)

    async def _fetch(self, job: str, limits: SaveLimits) -> Manifest:
        """Bring here what was written down, as far as it is not here."""
        self._progress.begin(Step.FETCHING)
        fetcher, folder = self._transfers.fetcher, job_folder(job)
        entries = await fetcher.list(folder)
        manifest = await fetcher.fetch_manifest(folder, entries, limits.max_bytes)
        known = await in_own_thread(self._store.known)
        new = [each for each in manifest.objects if each.hash not in known]
        await fetcher.fetch_objects(folder, entries, new, self._store)
        return manifest

    async def _is_damaged(self, manifest: Manifest) -> bool:
        """Return whether something that was here already, and so was not fetched, is of no use; it is known no more."""
        names = [each.hash for each in manifest.objects]
        found = [
            await in_own_thread(self._store.damaged, names[start : start + AT_ONCE])
            for start in range(0, len(names), AT_ONCE)
        ]
        return any(found)


@asynccontextmanager
async def in_threads(context: AbstractContextManager[object]) -> AsyncIterator[None]:
    """Enter and leave a context that reads and writes files."""
    stack = ExitStack()
    await in_own_thread(stack.enter_context, context)
    try:
        yield
    finally:
        await in_own_thread(stack.close)
