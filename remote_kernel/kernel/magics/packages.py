"""`%session install`: what is seen of it in the cell."""

import asyncio
from collections.abc import Awaitable, Callable

from remote_kernel.client.files.local_paths import current_folder
from remote_kernel.client.packages.installation import InstallProgress
from remote_kernel.client.packages.requirements import Wanted, parse_wanted
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics import session_command
from remote_kernel.kernel.magics.bar import Bar, showing
from remote_kernel.kernel.magics.command import Command
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, note
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.preparation.project_packages import ensure_packages
from remote_kernel.kernel.requests.request import Request
from remote_kernel.kernel.session.session import Session

INTERRUPTED = "The installation was interrupted. Run the cell again to go on where it stopped."

TITLE = "Installing packages"


class PackageInstalls:
    """Installs packages in the session of one kernel."""

    def __init__(self, channels: Channels, session: Session, preparation: Preparation) -> None:
        self._channels = channels
        self._session = session
        self._preparation = preparation

    async def parse(self, command: Command) -> Callable[[Request, str], Awaitable[Shown | None]]:
        """Return what does a command, once there is a session, given its cell and the pod's name.

        Raises:
            UsageError: it cannot be understood, or names what cannot be installed.
            SettingsError: the project's settings cannot be used.
        """
        asked = session_command.parse_install(command)
        if asked.is_of_project:
            wanted = await self._preparation.read_packages()
        else:
            wanted = await asyncio.to_thread(parse_wanted, asked.names, asked.files, current_folder())
        return lambda request, pod: self._install(request, pod, wanted)

    async def _install(self, request: Request, pod: str, wanted: Wanted) -> None:
        progress = InstallProgress()
        bar = Bar(progress, title=TITLE, interrupted=INTERRUPTED)
        async with showing(self._channels, request, bar):
            outcome = await ensure_packages(self._session, wanted, pod, progress)
            bar.done = note(outcome.summarise(), colour=style.GOOD)
