"""Saves of one kernel's session: made, restored, and what is said of them."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from remote_kernel.client.retry import Wait
from remote_kernel.client.routes.route import Route
from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.client.saves.remote_calls import PodInterpreter
from remote_kernel.client.saves.restoring import Restoring
from remote_kernel.client.saves.saving import Saving
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import NothingToSave, RemoteKernelError, SaveError, SessionBusy, SessionLost
from remote_kernel.core.saves.choice import choose, has_larger
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.saves import Report, SaveLimits
from remote_kernel.io.threads import in_own_thread
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, note
from remote_kernel.kernel.preparation.progress_line import showing
from remote_kernel.kernel.requests.request import Interrupted
from remote_kernel.kernel.saves.autosave import Autosave
from remote_kernel.kernel.saves.autosaving import Autosaving
from remote_kernel.kernel.saves.report import RestoreCard
from remote_kernel.kernel.saves.words import changed_files, remind, title, with_save
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

T = TypeVar("T")

# An interpreter that has just started has its own first things to do, of which nothing tells; another kernel's cell may
# be a short one. The bar is there meanwhile, and can be interrupted.
BUSY_SECONDS = 20.0
BUSY_AGAIN_SECONDS = 0.2

NOT_RESTORED = (
    "The session does not begin with {save}, and the cell was not run. {error} The next cell runs without it."
)
IN_THE_WAY = (
    "The session does not begin with {save}, as something has values there already: '%session restore' asks before it "
    "replaces them."
)
INTERRUPTED = "The restore was interrupted, and the cell was not run. The next cell runs with what is there."


class SessionSaves:
    """Saves of the session of one kernel.

    Args:
        files: returns the SHA-256 of each file of the workspace; `None` where there is none.
        tell: says something in the next cell.

    Attributes:
        autosaving: what is saved without being asked to.
    """

    def __init__(
        self, session: Session, attachment: Attachment, hints: Hints, files: Callable[[], Mapping[str, str] | None],
        tell: Callable[[str], None], state: Autosave | None = None,
    ) -> None:  # fmt: skip
        self._session = session
        self._attachment = attachment
        self._hints = hints
        self._files = files
        self._made: set[str] = set()
        self._store: SaveStore | None = None
        self._harmful: set[str] = set()
        self._restored_into = ""  # the epoch
        self.autosaving = Autosaving(self._kept_until, self._save_by_itself, tell, state)

    def _kept_until(self) -> float | None:
        link = self._session.link
        return time.monotonic() + link.keep_alive.seconds() if link is not None and link.is_attached else None

    # What there is

    async def store(self) -> SaveStore:
        """Return where the notebook's saves are; raises as `Session.open`."""
        store = await self._session.open_saves(self._hints)
        if self._store is None or self._store.folder != store.folder:
            self._store = store  # it remembers what it has checked
        return self._store

    async def notebook(self) -> str:
        """Return the notebook's path, "" where nobody knows it; raises as `Session.open`."""
        return await self._session.identify(self._hints)

    async def list(self) -> Sequence[Save]:
        """Return the saves, the newest first; raises `SaveError`, and as `store`."""
        store = await self.store()
        return await in_own_thread(store.list)

    async def labels(self) -> Sequence[str]:
        """Return by what commands know the saves; raises as `list`."""
        return [save.label for save in await self.list()]

    async def variables(self, name: str) -> Sequence[str]:
        """Return the variables in the save of a name, else in the one that `choose` returns; raises as `list`."""
        named = next((save for save in await self.list() if name in (save.name, save.id)), None)
        save = named or await self.choose()
        return [each.name for each in (await self.contents(save)).restored] if save is not None else []

    async def newest(self) -> Save | None:
        """Return the newest save of this notebook that can be used; raises as `list`.

        Where nobody knows which notebook this is, others have their saves in the same place: there, one that this
        kernel has made.
        """
        return next(iter(await self._usable()), None)

    async def _usable(self) -> Sequence[Save]:
        binding = self._session.binding.now
        is_known = binding is not None and binding.is_of_its_notebook
        return [save for save in await self.list() if not save.problem and (is_known or save.id in self._made)]

    async def choose(self) -> Save | None:
        """Return the save that is meant where none is named, as `newest` does; see `core.saves.choice`."""
        return choose(await self._usable(), self._interpreter.epoch)

    async def contents(self, save: Save) -> Report:
        """Return what would be restored of a save, and what not; raises as `store`."""
        store = await self.store()
        return await in_own_thread(store.read_contents, save)

    async def describe_loss(self, loss: SessionLost) -> SessionLost:
        """Return a loss that names the newest save, where there is one; raises as `list`."""
        saves = await self._usable()
        if not saves:
            return loss
        is_automatic = self._session.settings.autorestores and saves[0].id not in self._harmful
        larger = has_larger(saves, saves[0])
        return with_save(loss, saves[0], time.time(), is_automatic=is_automatic, has_larger=larger)

    async def describe_newest(self) -> str:
        """Return what to say of the newest save in a session that has nothing; "" for nothing. Raises as `list`."""
        saves = await self._usable()
        return remind(saves[0], time.time(), has_larger=has_larger(saves, saves[0])) if saves else ""

    # What is done

    async def save(self, progress: SaveProgress, name: str = "") -> Save:
        """Save the session, which can be reached; raises `RemoteKernelError`."""
        await self.autosaving.stop()
        return await self.autosaving.noting(progress, lambda: self._save(progress, name))

    async def _save_by_itself(self) -> None:
        progress = SaveProgress()
        await self.autosaving.noting(progress, lambda: self._save_if_any(progress))

    async def _save_if_any(self, progress: SaveProgress) -> None:
        with contextlib.suppress(NothingToSave):
            await self._save(progress, "", is_unasked=self._interpreter.epoch != self._restored_into)

    async def _save(self, progress: SaveProgress, name: str, *, is_unasked: bool = False) -> Save:
        store, limits = await self.store(), self._limits
        saving = Saving(self._pool, self._interpreter, store, progress, patience_seconds=self._session.wait_seconds)
        notebook = self._session.binding.notebook
        save = await when_free(
            lambda: saving.run(name, limits=limits, notebook=notebook, files=self._files(), is_unasked=is_unasked)
        )
        self._made.add(save.id)
        return save

    async def restore(self, save: Save, names: Sequence[str], progress: SaveProgress, *, is_forced: bool) -> Report:
        """Restore variables, all where none is named; raises `RemoteKernelError`."""
        await self.autosaving.stop()
        restoring = Restoring(
            self._pool, self._interpreter, await self.store(), progress, patience_seconds=self._session.wait_seconds,
            group_seconds=self._limits.group_seconds,
        )  # fmt: skip
        report = await when_free(lambda: restoring.run(save, names, force=is_forced))
        if not names and not report.conflicts:
            self._restored_into = self._interpreter.epoch
        return replace(report, warnings=[*report.warnings, *changed_files(save, self._files())])

    @property
    def _limits(self) -> SaveLimits:
        settings = self._session.settings
        return SaveLimits.of(settings.save_max_bytes, settings.save_seconds)

    @property
    def _pool(self) -> Route:
        assert self._session.pool is not None
        return self._session.pool

    @property
    def _interpreter(self) -> PodInterpreter:
        """The interpreter that the link follows."""
        binding, hello, link = self._session.binding, self._attachment.hello, self._session.link
        return PodInterpreter(
            kernel=binding.kernel,
            kernelspec=binding.kernelspec,
            epoch=link.position.epoch if link is not None and link.position is not None else "",
            reader=binding.now.reader if binding.now else "",
            pod=hello.pod if hello else "",
        )

    async def restore_by_itself(self, show: Callable[[Wait], None], present: Callable[[Shown], None]) -> None:
        """Restore the newest save, if there is one, before a cell; see `SavesOnDemand.restore`.

        One that could not be restored is not tried again: its variables may end every interpreter that loads them.
        """
        save = await self.newest()
        if save is None or save.id in self._harmful:
            return
        progress = SaveProgress()
        source = title(save, time.time())
        try:
            async with showing(lambda now: _describe(progress, now), show):
                report = await self.restore(save, (), progress, is_forced=False)
        except asyncio.CancelledError:
            raise Interrupted(INTERRUPTED) from None
        except SessionLost:
            self._harmful.add(save.id)
            raise
        except RemoteKernelError as error:
            self._harmful.add(save.id)
            raise SaveError(NOT_RESTORED.format(save=source, error=error)) from error
        if report.conflicts:
            present(note(IN_THE_WAY.format(save=source), colour=style.WARNING, is_aside=True))
        else:
            present(RestoreCard(report=report, source=source).shown())


async def when_free(work: Callable[[], Awaitable[T]]) -> T:
    """Do what the session does only while it runs nothing; raises `SessionBusy` where it is at work for long."""
    gives_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return await work()
        except SessionBusy:
            if time.monotonic() > gives_up_at:
                raise
            await asyncio.sleep(BUSY_AGAIN_SECONDS)


def _describe(progress: SaveProgress, now: float) -> Wait:
    return progress.wait or Wait("restoring the variables that were saved", progress.describe(now))
