"""Preparation of the session for the cells of one kernel."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from remote_kernel.client.files.local_paths import current_folder
from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire.frames import Files
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.launch.project_file import find_project
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.choices import Choice, ChoiceFile, keep_choice
from remote_kernel.kernel.session.session import Session

if TYPE_CHECKING:
    from remote_kernel.client.files.transfer import Progress
    from remote_kernel.client.packages.requirements import Wanted
    from remote_kernel.core.project_settings import ProjectSettings
    from remote_kernel.core.workspace.totals import Totals
    from remote_kernel.kernel.preparation.project_packages import ProjectPackages
    from remote_kernel.kernel.preparation.workspace import Workspace
    from remote_kernel.kernel.session.workspace_choice import WorkspacePlace


class Preparation:
    """Brings along what cells need of this machine.

    Args:
        saves: one of which the session may have to begin with.
        reach: returns when the session can be reached; raises `RemoteKernelError` when it cannot be.

    Attributes:
        workspace: `None` where there is none, or nobody has looked so far.
    """

    def __init__(
        self, session: Session, attachment: Attachment, hints: Hints, saves: SavesOnDemand,
        reach: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._session = session
        self._attachment = attachment
        self._hints = hints
        self._saves = saves
        self._reach = reach
        self._has_looked = False
        self._looking = asyncio.Lock()
        self.workspace: Workspace | None = None
        self._packages: ProjectPackages | None = None

    @property
    def is_needed(self) -> bool:
        """Return whether anything may be to do before a cell runs."""
        if not self._has_looked or self._saves.is_restore_due:
            return True
        pod, packages = self._pod, self._packages
        if packages is not None and packages.must_install(pod):
            return True
        return self.workspace is not None and not self.workspace.is_known_sent(pod)

    @property
    def totals(self) -> "Totals | None":
        """Totals of the workspace; `None` where there is none."""
        return self.workspace.totals if self.workspace is not None else None

    @property
    def files(self) -> dict[str, str] | None:
        """The SHA-256 of each file of the workspace; `None` where there is none."""
        return self.workspace.files if self.workspace is not None else None

    @property
    def brings_files(self) -> bool:
        """Return whether files come back behind cells."""
        return self.workspace is not None and self.workspace.place.brings_back

    async def run(
        self, show: Callable[[Wait], None], remark: Callable[[str], None], present: Callable[[Shown], None]
    ) -> list[str]:
        """Do what is to be done before the next cell; return what the user is to be told.

        Args:
            show: says in the cell what it waits for.
            remark: says in it what has been done.
            present: shows in it a report on that.

        Raises:
            RemoteKernelError: the cell is not to run.
        """
        await self.look()
        workspace, packages = self.workspace, self._packages
        must_send = workspace is not None and await workspace.must_send(self._pod)
        must_install = packages is not None and packages.must_install(self._pod)
        if not (must_send or must_install or self._saves.is_restore_due):
            return []
        await self._reach()
        sent = await workspace.send_for_cell(self._pod, show) if workspace else []
        if packages is not None:
            await packages.install(self._pod, show, remark)
        if self._saves.is_restore_due:
            await self._saves.restore(show, present)
        return sent

    async def sync(self, progress: "Progress") -> list[str]:
        """Send what has changed here, and fetch what has changed in the session; return what the user is to be told.

        Raises:
            RemoteKernelError: it could not all be done; it can be done again.
        """
        assert self.workspace is not None
        notes = await self.workspace.send(self._pod, progress)
        return [*notes, *(await self.workspace.bring_back(self._pod, None) if self.brings_files else [])]

    @property
    def _pod(self) -> str:
        """The pod of the session, "" where none has been reached or it is lost."""
        link, hello = self._session.link, self._attachment.hello
        return hello.pod if hello is not None and link is not None and link.position is not None else ""

    async def look(self) -> None:
        """Find out once whether there is a workspace, which may depend on the notebook; raises `SettingsError`."""
        async with self._looking:  # a session that is taken ahead looks as well as the first cell
            if self._has_looked:
                return
            notebook = await self._session.identify(self._hints)
            self._take(await asyncio.to_thread(self._find_place, notebook, None), notebook)

    def _find_place(self, notebook: str, setting: str | None) -> "WorkspacePlace | None":
        """Return the workspace of a setting; `None`: of what was chosen for the notebook, or is configured."""
        if setting is None and notebook:
            setting = ChoiceFile(self._session.folders.data, Choice.WORKSPACE, notebook).load(str)
        folder = _folder_of(notebook)
        settings = self._session.settings
        project = self._read_project(folder)
        if setting is None and not (settings.workspace or (project is not None and project.workspace)):
            return None
        from remote_kernel.kernel.session.workspace_choice import WorkspacePlace, read_configured  # late, as below

        configured, brings_back = read_configured(settings, project)
        return WorkspacePlace.choose(
            configured if setting is None else setting,
            notebook_folder=folder,
            scope=settings.scope,
            name=Path(notebook).name,
            brings_back=brings_back,
        )

    async def read_packages(self) -> "Wanted":
        """Return the packages that the project's settings name now, which later pods get as well.

        Raises:
            SettingsError, UsageError: the settings cannot be used, or name none.
        """
        from remote_kernel.client.packages.requirements import wanted_by

        notebook = await self._session.identify(self._hints)
        return await asyncio.to_thread(lambda: wanted_by(self._read_project(_folder_of(notebook))))

    def _read_project(self, folder: Path) -> "ProjectSettings | None":
        project = find_project(folder)
        self._packages = None
        if project is not None and (project.packages or project.packages_file):
            from remote_kernel.kernel.preparation.project_packages import ProjectPackages

            self._packages = ProjectPackages(self._session, project)
        return project

    def _take(self, place: "WorkspacePlace | None", notebook: str) -> None:
        workspace = None
        if place is not None:
            # Late, as the start of a kernel waits for imports.
            from remote_kernel.client.workspace.state_file import state_path
            from remote_kernel.kernel.preparation.workspace import Workspace

            state = state_path(self._session.folders.runtime, place.root, place.folder, notebook)
            settings = self._session.settings
            workspace = Workspace(self._session, place, state_file=state, settings=settings, notebook=notebook)
            workspace.watch()
        else:
            self._session.watch("")
        self._session.workspace, self.workspace = place, workspace
        self._has_looked = True  # last: a cell does not run without the workspace where this fails

    async def change(self, setting: str) -> None:
        """Choose another workspace, "" for none, from now on, also for later kernels of the notebook.

        Raises:
            SettingsError: it cannot be one, and nothing has changed; or it is chosen for this kernel alone.
        """
        notebook = await self._session.identify(self._hints)
        self._take(await asyncio.to_thread(self._find_place, notebook, setting), notebook)
        await keep_choice(self._session.folders.data, Choice.WORKSPACE, notebook, setting)

    def is_news(self, said: Files) -> bool:
        """Return whether there may be anything to fetch after what the pod said behind a cell."""
        return self.workspace is not None and self.workspace.is_news(said)

    async def bring_back(self, said: Files) -> list[str]:
        """Fetch what a cell has changed; return what the user is to be told, also where it fails."""
        if self.workspace is None:
            return []
        try:
            return await self.workspace.bring_back(self._pod, said)
        except RemoteKernelError as error:
            return [f"What the cell has changed in the workspace was not fetched. {error}"]

    def note_gap(self) -> None:
        """Note that the session may have said what has changed, and nobody has heard it."""
        if self.workspace is not None:
            self.workspace.note_gap()

    async def explain(self, name: str, text: str) -> str:
        """Return a hint for an error of a cell; "" for none."""
        has_workspace = self.workspace is not None
        try:
            folder = current_folder()
        except RemoteKernelError:  # somebody has removed it
            return ""
        from remote_kernel.kernel.preparation.error_hints import find_hint  # late: most cells end without an error

        return await asyncio.to_thread(find_hint, name, text, folder, has_workspace=has_workspace)


def _folder_of(notebook: str) -> Path:
    """Return the folder of a notebook; "": of one that nobody knows, which is the kernel's."""
    return Path(notebook).parent if notebook else current_folder()
