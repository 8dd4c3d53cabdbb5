"""`%session save`, `restore`, `saves` and `autosave`: what is done, and seen of it in the cell."""

import time
from collections.abc import Awaitable, Callable, Sequence

from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.core.errors import (
    NothingToSave,
    RemoteKernelError,
    SaveError,
    SessionLost,
    UsageError,
)
from remote_kernel.core.numbers import REMARK
from remote_kernel.core.saves.names import parse_name
from remote_kernel.core.saves.save import Save
from remote_kernel.core.text.human_numbers import format_bytes, format_seconds
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire.saves import Report
from remote_kernel.io.threads import in_own_thread
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.question import Question
from remote_kernel.kernel.magics.bar import Bar, showing
from remote_kernel.kernel.magics.command import Command
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, note
from remote_kernel.kernel.requests.request import Interrupted, Request
from remote_kernel.kernel.saves import lines
from remote_kernel.kernel.saves.lines import AutosaveAction
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.saves.report import MAX_WARNINGS, RestoreCard, describe_lost, show_saves
from remote_kernel.kernel.saves.words import amount, moment, title
from remote_kernel.kernel.session.choices import Choice, keep_choice
from remote_kernel.kernel.session.session import Session

NOTHING_TO_SAVE = "There is nothing to save: there is no session, and so no variables."
NO_SAVES = "There is no save of this notebook: '%session save' makes one."
NO_SUCH_SAVE = "There is no save '{name}' of this notebook: '%session saves' lists those that there are."
NO_SUCH_VARIABLE = "There is no variable '{name}' in {save}, nor a save of this name: '%session saves' lists the saves."
DECLINED = "Nothing was restored: the variables are as they were."
ASKED = "Replace what is there? [y/N] "
USE_FORCE = (
    "Nothing was restored, as these variables are here already: '%session restore --force' replaces them, and with "
    "names of variables behind it, '%session restore' brings back those alone."
)
NOT_RESET = (
    "The session stays, as its variables could not be saved before. {error} '%session autosave off' has it given back "
    "without a save."
)
ON = "The notebook saves its variables by itself: when it has been idle for a moment, and before they go."
OFF = "The notebook does not save its variables by itself: '%session autosave on' changes that. What is saved stays."
SAVE_INTERRUPTED = "The save was interrupted: nothing of it is kept, and the save before stays."
RESTORE_INTERRUPTED = (
    "The restore was interrupted: some variables may be back, and others not. Run the cell again to bring back all."
)

MAX_NAMES, MAX_CHARS = 10, 100

_ARE_HERE = "are here already, perhaps with other values"
_YES = frozenset({"y", "yes"})


class SaveCommand:
    """Performs the lines about saves of one kernel.

    Args:
        question: to the user, who is asked before a restore replaces anything.
        reach: returns when the session can be reached; raises `RemoteKernelError` when it cannot be.
    """

    def __init__(
        self, channels: Channels, session: Session, saves: SavesOnDemand, question: Question,
        reach: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._channels = channels
        self._session = session
        self._on_demand = saves
        self._question = question
        self._saves = saves.load()
        self._reach = reach

    # Saves

    async def save(self, request: Request, command: Command) -> Shown | None:
        """Save; raises `RemoteKernelError`."""
        name = lines.parse_save(command)
        name = parse_name(name) if name else ""
        if self._session.link is None and not self._session.binding.is_known:
            return note(NOTHING_TO_SAVE)
        await self._reach()
        await self._save(request, name)
        return None

    async def _save(self, request: Request, name: str = "") -> None:
        progress = SaveProgress()
        bar = Bar(progress, title="Saving variables", interrupted=SAVE_INTERRUPTED)
        began = time.monotonic()
        async with showing(self._channels, request, bar):
            try:
                save = await self._saves.save(progress, name)
            except NothingToSave as error:
                bar.done = note(str(error))
                return
            self._on_demand.note_saved()
            bar.done = await self._describe(save, time.monotonic() - began)

    async def _describe(self, save: Save, took_seconds: float) -> Shown:
        """Return what is said of a save that is whole."""
        told = await self._saves.contents(save)
        name = f" as '{save.name}'" if save.name else ""
        size, took = format_bytes(save.manifest.bytes), format_seconds(took_seconds)
        saved = f"Saved {amount(save.manifest)}{name}: {size}, in {took}. '%session restore' brings them back."
        text = f"{saved} Not saved: {describe_lost(told)}." if told.lost else saved
        return note(text, colour=style.WARNING if told.lost else style.GOOD)

    async def save_before_end(self, request: Request) -> None:
        """Save what has changed before the session is given back; raises `SaveError`."""
        try:
            await self._reach()
            await self._save(request)
        except (Interrupted, SessionLost):
            raise
        except RemoteKernelError as error:
            raise SaveError(NOT_RESET.format(error=error)) from error

    # Restores

    async def restore(self, request: Request, command: Command) -> Shown | None:
        """Restore, after a question where there are other values; raises `RemoteKernelError`."""
        wish = lines.parse_restore(command)
        save, names = await self._choose(wish.words)
        await self._check_names(save, names)
        await self._reach()
        report = await self._restore(request, save, names, is_forced=wish.is_forced)
        if not report.conflicts:
            return None
        if not await self._is_agreed(request):
            return note(DECLINED)
        await self._restore(request, save, names, is_forced=True)
        return None

    async def _choose(self, words: Sequence[str]) -> tuple[Save, Sequence[str]]:
        """Return which save, and which of its variables: the first word may name either."""
        saves = await self._saves.list()
        is_named = bool(words) and any(words[0] in (save.name, save.id) for save in saves)
        meant = None if is_named else await self._saves.choose()  # behind a loss, the one that it has named
        if meant is not None:
            return meant, words
        store = await self._saves.store()
        return await in_own_thread(store.find, words[0] if is_named else ""), words[int(is_named) :]

    async def _check_names(self, save: Save, names: Sequence[str]) -> None:
        """Raise `UsageError` for a variable that is not in a save."""
        if not names:
            return
        contents = await self._saves.contents(save)
        known = {each.name for each in contents.restored} | {each.name for each in contents.lost}
        for name in names:
            is_known = REMARK.check(name, "a variable") in known  # as the contents have it, which are for people
            if not is_known and contents.warnings:
                raise SaveError(contents.warnings[0])
            if not is_known:
                raise UsageError(NO_SUCH_VARIABLE.format(name=_shown(name), save=title(save, time.time())))

    async def _find(self, name: str) -> Save:
        """Return a save by its name or id, also one that cannot be used; raises `SaveError`."""
        for save in await self._saves.list():
            if name in (save.name, save.id):
                return save
        raise SaveError(NO_SUCH_SAVE.format(name=_shown(name)))

    async def _restore(self, request: Request, save: Save, names: Sequence[str], *, is_forced: bool) -> Report:
        progress = SaveProgress()
        bar = Bar(progress, title="Restoring variables", interrupted=RESTORE_INTERRUPTED)
        began = time.monotonic()
        async with showing(self._channels, request, bar):
            report = await self._saves.restore(save, names, progress, is_forced=is_forced)
            bar.done = self._show(report, save, began)
        if not report.conflicts:
            self._on_demand.note_restored()
        return report

    def _show(self, report: Report, save: Save, began: float) -> Shown:
        if report.conflicts:
            return show_conflicts(report, title(save, time.time()))
        took = f"Took {format_seconds(time.monotonic() - began)}."
        return RestoreCard(report=report, source=title(save, time.time()), took=took).shown()

    async def _is_agreed(self, request: Request) -> bool:
        answer = await self._question.ask(request, ASKED)
        if answer is None:
            raise UsageError(USE_FORCE)
        return answer.strip().lower() in _YES

    # The others

    async def list_or_delete(self, command: Command) -> Shown:
        """Show the saves, or remove one; raises `RemoteKernelError`."""
        name = lines.parse_saves(command)
        store = await self._saves.store()
        if not name:
            saves = await in_own_thread(store.list)
            return show_saves(saves, await self._saves.choose(), time.time()) if saves else note(NO_SAVES)
        save = await self._find(name)
        await in_own_thread(store.delete, save)
        return note(f"Removed {title(save, time.time())}.")

    async def switch_autosave(self, command: Command) -> Shown:
        """Switch the autosave on or off, also for later kernels, or tell of it; raises `RemoteKernelError`."""
        action = lines.parse_autosave(command)
        notebook = await self._saves.notebook()
        self._on_demand.look()
        if action is not AutosaveAction.STATUS:
            self._saves.autosaving.switch(is_on=action is AutosaveAction.ON)
            is_on = action is AutosaveAction.ON
            await keep_choice(self._session.folders.data, Choice.AUTOSAVE, notebook, is_on)
        return note(await self._describe_autosave())

    async def _describe_autosave(self) -> str:
        autosaving = self._saves.autosaving
        try:
            save = await self._saves.newest()
        except SaveError as error:  # a drive that is not connected: it is switched all the same
            return f"{ON if autosaving.state.is_on else OFF} {error}"
        last = f" The newest save is of {moment(save.saved_at, time.time())}, {amount(save.manifest)}." if save else ""
        changed = " A cell has run since." if save and autosaving.state.has_changed else ""
        problem = f" The last try has failed: {autosaving.problem}" if autosaving.problem else ""
        return f"{ON if autosaving.state.is_on else OFF}{last}{changed}{problem}"


def _shown(name: str) -> str:
    """Return a name that somebody has typed; of a very long one the beginning."""
    return one_line(name if len(name) <= MAX_CHARS else f"{name[:MAX_CHARS]}…")


def show_conflicts(report: Report, source: str) -> Shown:
    """Return what is said of variables that are here already; that they have the same values is seen of few.

    Args:
        source: which save, for people.
    """
    names = ", ".join(one_line(name) for name in report.conflicts[:MAX_NAMES])
    more = report.conflict_count - MAX_NAMES
    listed = f"{names} and {more:,} more" if more > 0 else names
    are_here = "is here already, perhaps with another value" if report.conflict_count == 1 else _ARE_HERE
    beware = "".join(f" Beware: {one_line(warning)}." for warning in report.warnings[:MAX_WARNINGS])
    return note(f"{listed} {are_here} than in {source}.{beware}", colour=style.WARNING)
