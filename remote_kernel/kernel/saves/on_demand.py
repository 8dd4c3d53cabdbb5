"""Saves of one kernel, loaded when something is asked of them: every start of a kernel waits for what it imports."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.choices import Choice, ChoiceFile
from remote_kernel.kernel.session.session import Session

if TYPE_CHECKING:
    from remote_kernel.kernel.saves.session_saves import SessionSaves

T = TypeVar("T")

# For somebody who has pressed Tab, or is told of a loss: a network drive that hangs is no reason to wait.
PATIENCE_SECONDS = 2.0


class SavesOnDemand:
    """Takes note of what matters to saves, and passes it on once they are loaded.

    Args:
        hints: what cells have told of the notebook.
        files: returns the SHA-256 of each file of the workspace; `None` where there is none.
        tell: says something in the next cell.
        withdraw: has that not said which was told before, if no cell has come since.
    """

    def __init__(
        self, session: Session, attachment: Attachment, hints: Hints,
        files: Callable[[], Mapping[str, str] | None], tell: Callable[[str], None], withdraw: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._session = session
        self._attachment = attachment
        self._hints = hints
        self._files = files
        self._tell = tell
        self._withdraw = withdraw
        self._loaded: SessionSaves | None = None
        self._is_busy = self._has_run = self._has_looked = False
        self._is_lost = session.binding.untold is not None
        self._is_new = session.binding.now is None  # no earlier process of this kernel has had a session
        self._reminder: str | None = ""  # what was told of the newest save; `None` where that is of no use any more

    def load(self) -> "SessionSaves":
        if self._loaded is None:
            from remote_kernel.kernel.saves.session_saves import SessionSaves

            self._loaded = SessionSaves(self._session, self._attachment, self._hints, self._files, self._tell)
            if self._has_run:
                self._loaded.autosaving.state.note_cell(time.monotonic())
        return self._loaded

    # What happens to the session

    def note_busy(self, is_busy: bool) -> None:
        """Note whether the session runs something; behind its first cell it is looked whether it saves by itself."""
        if is_busy == self._is_busy:
            return
        self._is_busy, self._has_run = is_busy, True
        if not is_busy:
            self.look()
        if self._loaded is not None:
            self._loaded.autosaving.note_busy(is_busy)

    def look(self) -> None:
        """Save by itself from now on, if that is wanted; asks once, when it is known which notebook this is."""
        if not self._has_looked:
            self._has_looked = True
            if self._is_python and self._is_autosave_wanted():
                self.load().autosaving.switch(is_on=True)

    @property
    def _is_python(self) -> bool:
        """Return whether the session's interpreter is one whose variables can be saved, as far as it has told."""
        language = self._attachment.hello.kernel_info.get("language_info") if self._attachment.hello else None
        return not isinstance(language, dict) or language.get("name", "python") == "python"

    def _is_autosave_wanted(self) -> bool:
        binding = self._session.binding.now
        if binding is None or not binding.is_of_its_notebook:
            return False
        notebook = binding.notebook
        chosen = ChoiceFile(self._session.folders.data, Choice.AUTOSAVE, notebook).load(bool) if notebook else None
        return self._session.settings.autosaves if chosen is None else chosen

    def note_attached(self) -> None:
        """Note that the session can be reached; in the first one, what is saved of those before is told."""
        if self._loaded is not None:
            self._loaded.autosaving.look_again()
        elif self._is_new and self._is_untouched and not self._session.settings.autorestores:
            start(self._remind(), "saves")
        self._is_new = self._is_new and self._session.settings.autorestores

    @property
    def _is_untouched(self) -> bool:
        return self._attachment.hello is not None and self._attachment.hello.is_untouched

    async def _remind(self) -> None:
        note = await self._ask(lambda saves: saves.describe_newest(), "")
        if note and self._reminder is not None:
            self._reminder = note
            self._tell(note)

    def _forget_reminder(self) -> None:
        if self._reminder:
            self._withdraw(self._reminder)
        self._reminder = None

    async def note_loss(self, loss: SessionLost) -> SessionLost:
        """Note that the session is gone; return what to say of it, with the newest save."""
        self._is_lost = True
        if self._loaded is not None:
            self._loaded.autosaving.note_gone()
        return await self._ask(lambda saves: saves.describe_loss(loss), loss)

    async def _ask(self, question: Callable[["SessionSaves"], Awaitable[T]], answer: T) -> T:
        """Return what the saves answer; else `answer`, where there are none, or they cannot be read in time."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await question(self.load()) if await self._may_have_any() else answer
        except (RemoteKernelError, TimeoutError):  # whoever asks for the saves is told
            return answer
        except Exception as defect:  # the rest is to go on, whatever is wrong with saves
            report_defect(defect)
            return answer

    def note_saved(self) -> None:
        """Note that the user has saved the session."""
        self._forget_reminder()

    def note_restored(self) -> None:
        """Note that the user has restored what is wanted."""
        self._is_lost = self._is_new = False
        self._forget_reminder()

    def note_reset(self) -> None:
        """Note that the user wants a new session, and nothing in it."""
        self._is_lost = self._is_new = False
        self._forget_reminder()
        if self._loaded is not None:
            self._loaded.autosaving.note_gone()

    async def _may_have_any(self) -> bool:
        """Return whether the notebook has a folder with saves; else nobody need look into one.

        Raises `SettingsError`, and as `Session.open`.
        """
        return await self._session.has_saves(self._hints)

    # What is done by itself

    @property
    def is_restore_due(self) -> bool:
        """Return whether the session begins with a save: the one before was lost, perhaps with an earlier kernel."""
        return (self._is_lost or self._is_new) and self._session.settings.autorestores

    async def restore(self, show: Callable[[Wait], None], present: Callable[[Shown], None]) -> None:
        """Restore the newest save, if there is one, once; a new kernel does so where nothing has run in its session.

        Args:
            show: says in the cell what it waits for.
            present: shows what came of it.

        Raises:
            RemoteKernelError: it came to nothing, or was interrupted.
        """
        is_wanted = self._is_lost or self._is_untouched
        self._is_lost = self._is_new = False
        if is_wanted and await self._may_have_any():
            await self.load().restore_by_itself(show, present)

    @property
    def is_save_due(self) -> bool:
        """Return whether the session is to be saved before it is given back."""
        return self._loaded is not None and self._loaded.autosaving.state.is_due_before_end

    async def names(self) -> Sequence[str]:
        """Return the names of the notebook's saves; nothing where they cannot be read."""
        return await self._ask(lambda saves: saves.labels(), ())

    async def variables(self, save: str) -> Sequence[str]:
        """Return the names of the variables in a save, or in the one that is meant where none has this name."""
        return await self._ask(lambda saves: saves.variables(save), ())

    async def finish(self, *, within_seconds: float) -> None:
        """Save what has changed before the session is given back, where that is wanted."""
        if self._loaded is not None:
            await self._loaded.autosaving.finish(within_seconds=within_seconds)

    async def aclose(self) -> None:
        if self._loaded is not None:
            await self._loaded.autosaving.aclose()
