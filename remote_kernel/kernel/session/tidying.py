"""Giving back what others of this user's kernels could not: releases that were written down, sessions left behind."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from remote_kernel.client.access import Access, has_local_pool_left
from remote_kernel.client.link.requests import is_gone
from remote_kernel.client.retry import Room
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.core.errors import PoolFull, RemoteKernelError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from remote_kernel.io.local_pools import this_environment
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.session.binding import count_bindings
from remote_kernel.kernel.session.releases import Release, Releases, give_back

# The first cell waits for what an earlier kernel could not finish; it may be for the same session.
CATCH_UP_SECONDS = 2.0

MAX_AT_ONCE = 16

# What was given back longer ago has nothing to do with a full pool of now.
NEWS_SECONDS = 30.0


class Tidying:
    """Does it for one kernel, in the pool that this one uses.

    Args:
        runtime_folder: Jupyter's.
        open_route: opens the way to the session of an identifier.
    """

    def __init__(
        self,
        runtime_folder: Path,
        releases: Releases,
        open_route: Callable[[Settings, Access, Identifier], DetectedRoute],
    ) -> None:
        self._runtime_folder = runtime_folder
        self._releases = releases
        self._open_route = open_route
        self._task: asyncio.Task[None] | None = None
        self._freed = 0
        self._freed_at = float("-inf")

    async def catch_up(self, settings: Settings, access: Access) -> None:
        """Do what kernels before us could not."""
        if not self._releases.any() or await has_local_pool_left(access):
            return
        waiting = self._releases.waiting(_pool_of(settings), time.time())
        await asyncio.gather(*(self._try(path, settings, access) for path in waiting[:MAX_AT_ONCE]))

    async def _try(self, path: Path, settings: Settings, access: Access) -> None:
        """Do a release that is written down, unless another process is at it; it stays where it cannot be done now."""
        with self._releases.try_take(path) as release:
            if release is None:
                return
            with contextlib.suppress(RemoteKernelError, TimeoutError):
                await self._do(release, settings, access)
                self._releases.remove(path)

    async def _do(self, release: Release, settings: Settings, access: Access) -> None:
        pool = self._open_route(settings, access, release.identifier)
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                if await is_gone(pool):  # to ask a pod would take another session
                    return
                returned = await give_back(pool, release)
            if returned.stopped:
                self._freed, self._freed_at = self._freed + 1, time.monotonic()
        except PoolFull:
            pass  # whoever has a session is let in, so this one is gone
        finally:
            await pool.aclose()

    def begin(self, settings: Settings, access: Access) -> None:
        """Look in the background for what ended programs have left; once is enough."""
        if self._task is None:
            self._task = start(self._look(settings, access), "tidying")

    async def _look(self, settings: Settings, access: Access) -> None:
        try:
            await self._reclaim(settings, access, only_recent=True)
        except Exception as error:
            report_defect(error)

    async def _reclaim(self, settings: Settings, access: Access, *, only_recent: bool) -> None:
        await asyncio.to_thread(self._collect, _pool_of(settings), only_recent=only_recent)
        await self.catch_up(settings, access)

    def _collect(self, endpoint: str, *, only_recent: bool) -> None:
        if count_bindings(self._runtime_folder) > 1:  # than this kernel's own
            from remote_kernel.kernel.session.leftovers import collect  # late, as the first cell waits for imports

            collect(self._runtime_folder, self._releases, endpoint=endpoint, only_recent=only_recent)

    async def make_room(self, settings: Settings, access: Access, own: Identifier) -> Room:
        """Give back what nobody can come back to, for a kernel with the session `own` that meets a full pool."""
        await self._reclaim(settings, access, only_recent=False)
        if self._task is not None:  # which may be at it as well
            await asyncio.wait([self._task])
        freed, self._freed = self._freed, 0
        freed = freed if time.monotonic() - self._freed_at < NEWS_SECONDS else 0
        from remote_kernel.kernel.session.known_sessions import known_sessions
        from remote_kernel.kernel.session.leftovers import describe_users

        sessions = await asyncio.to_thread(known_sessions, self._runtime_folder)
        return Room(freed=freed, hint=describe_users(sessions, endpoint=_pool_of(settings), own=own, now=time.time()))

    async def aclose(self) -> None:
        """Stop; what is not done stays written down."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def _pool_of(settings: Settings) -> str:
    """Return what bindings and releases call the pool."""
    return settings.endpoint or this_environment().endpoint
