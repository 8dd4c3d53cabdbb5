"""Packages that a project says its notebooks need, made sure of in each pod before its first cell."""

import asyncio
from collections.abc import Callable

from remote_kernel.client.packages.installation import Installation, InstallProgress, Outcome
from remote_kernel.client.packages.requirements import Wanted, wanted_by
from remote_kernel.client.retry import Wait
from remote_kernel.core.project_settings import ProjectSettings
from remote_kernel.kernel.preparation.progress_line import Show, showing
from remote_kernel.kernel.session.session import Session


class ProjectPackages:
    """The packages of one kernel's project."""

    def __init__(self, session: Session, project: ProjectSettings) -> None:
        self._session = session
        self._project = project
        self._pod = ""

    def must_install(self, pod: str) -> bool:
        """Return whether a pod has not been asked so far; "" for one that is not there yet."""
        return not pod or pod != self._pod

    async def install(self, pod: str, show: Show, remark: Callable[[str], None]) -> None:
        """Install what the pod lacks, and say so by `remark`.

        Raises:
            UsageError, TransferError, PoolError, SessionLost: see `Installation.run`.
        """
        if not self.must_install(pod):
            return
        wanted = await asyncio.to_thread(wanted_by, self._project)
        progress = InstallProgress()
        async with showing(lambda now: describe(progress, now), show):
            outcome = await ensure_packages(self._session, wanted, pod, progress)
        self._pod = pod
        if outcome.changes:
            remark(outcome.summarise())


async def ensure_packages(session: Session, wanted: Wanted, pod: str, progress: InstallProgress) -> Outcome:
    """Make sure that a session has packages; where it has them, that costs one request.

    Raises:
        UsageError, TransferError, PoolError, SessionLost: see `Installation.run`.
    """
    assert session.pool is not None
    installation = Installation(
        session.pool,
        session.binding.kernelspec,
        progress,
        cache=session.folders.wheels,
        patience_seconds=session.wait_seconds,
        pod=pod,
    )
    return await installation.run(wanted)


def describe(progress: InstallProgress, now: float) -> Wait:
    """Return what a cell says that waits for packages."""
    return progress.wait or Wait("installing the project's packages", progress.describe(now))
