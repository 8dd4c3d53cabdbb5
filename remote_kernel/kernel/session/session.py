"""The remote session of this kernel: bound at the first request that needs it, remembered, restarted, given back."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote_kernel.client.access import Access, choose_access, has_local_pool_left
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link.events import Failed, OnEvent
from remote_kernel.client.link.link import Link
from remote_kernel.client.link.requests import is_gone
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKindStore
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolFull, PoolUnreachable, RemoteKernelError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.pools.flavor import has_interpreter_address
from remote_kernel.core.settings import DEFAULT_SAVES_FOLDER, DEFAULT_WAIT_SECONDS, Settings
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import frames as wire
from remote_kernel.io.local_pools import this_environment
from remote_kernel.io.log_files import log_folder, remove_old
from remote_kernel.io.tasks import start
from remote_kernel.kernel.before_session.history import History
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.identification import Identification
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.launch.asking import LaunchAsking
from remote_kernel.kernel.launch.options import LaunchOptions
from remote_kernel.kernel.requests.request import Interrupted
from remote_kernel.kernel.session.binding import Binding, BindingFile
from remote_kernel.kernel.session.current_binding import CurrentBinding
from remote_kernel.kernel.session.releases import Release, Releases, Returned, give_back
from remote_kernel.kernel.session.tidying import Tidying

if TYPE_CHECKING:
    from remote_kernel.client.early_contact import EarlyContact
    from remote_kernel.client.saves.store import SaveStore
    from remote_kernel.kernel.session.workspace_choice import WorkspacePlace

log = logging.getLogger(__name__)

# jupyter_client terminates a kernel 2.5 s after it asked it to shut down.
FAREWELL_SECONDS = 1.5

# Where no front end waits for the end of this process, a session that is still being made is waited for, to be given
# back: as long as a pod takes that is slow, and shorter than service managers wait between SIGTERM and SIGKILL.
LEAVING_SECONDS = 60.0

# Somebody waits for it in a cell, and can interrupt.
LET_GO_SECONDS = 10.0

# A front end asks several times until it hears a kernel on every channel. What is loaded for an early contact takes
# half a second of a processor, and is not to stand in the way of that.
EARLY_SECONDS = 0.5

UNKNOWN_END = "The next cell finds the session as it was, or says that it is gone."


class Session:
    """Binds, opens and ends the link of one kernel.

    Args:
        connection_file: the kernel's, which also names it to the Jupyter server.
        connection_key: the key in it.
        parent: process id of who started the kernel.

    Attributes:
        binding: which session this is, remembered over restarts of this process.
        link: to the pod; `None` before it was first needed.
        launch: how interpreters are to be started; `None` before as well.
        pool: what carries requests to the pod, along with the link.
        wait_seconds: how long to wait for a pool that is full or does not answer.
        history: of the notebook's cells; it has its place once the kernel is bound.
        workspace: which folder is to be the same in the session, where one is.
        folders: of this user.
    """

    def __init__(
        self, environ: Mapping[str, str], folders: Folders, *, connection_file: Path, connection_key: bytes,
        parent: int, history: History | None = None,
    ) -> None:  # fmt: skip
        self._environ = environ
        self.folders = folders
        self.history = history or History(None)
        self._connection_file = connection_file
        self._parent = parent
        self._releases = Releases(folders.runtime)
        file = BindingFile(folders.runtime, connection_file=connection_file, key=connection_key)
        self.binding = CurrentBinding(file, self._releases)
        self._identification = Identification(environ, folders, connection_file=connection_file, parent=parent)
        self._tidying = Tidying(folders.runtime, self._releases, self._route)
        self.pool: Route | None = None
        self.wait_seconds = DEFAULT_WAIT_SECONDS
        self._running: asyncio.Task[None] | None = None
        self._early: EarlyContact | None = None
        self._contact: asyncio.TimerHandle | None = None
        self.link: Link | None = None
        self.launch: LaunchAsking | None = None
        self.workspace: WorkspacePlace | None = None
        self._watched = ""

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once; raises `SettingsError` and `IdentityError`, as the first cell is to be told."""
        return Settings.from_environ(self._environ)

    @cached_property
    def _access(self) -> Access:
        """The access to the pool; raises as `settings` does."""
        return choose_access(self.settings, self._environ)

    def tidy(self) -> None:
        """Give back, in the background, the session of an earlier process that this one does not go on with."""
        if self.binding.has_left:
            with contextlib.suppress(RemoteKernelError):  # settings that cannot be used are told in the first cell
                self._tidying.begin(self.settings, self._access)

    def contact_early(self) -> None:
        """Begin what a first cell would wait for beside its session, in the background; the cell is told what fails."""
        if self._contact is None and not self.is_local:
            self._contact = asyncio.get_running_loop().call_later(EARLY_SECONDS, self._begin_contact)

    def _begin_contact(self) -> None:
        if self.link is not None:
            return
        from remote_kernel.client.early_contact import EarlyContact

        with contextlib.suppress(RemoteKernelError):
            self._early = EarlyContact(self._access)
            self._early.begin()

    @property
    def is_named(self) -> bool:
        """Return whether anybody has told which notebook this is, so that no front end has to be heard first."""
        return self.binding.now is not None or self._identification.is_told

    @property
    def is_local(self) -> bool:
        """Return whether the pool is the user's own on this machine."""
        return not self._environ.get("REMOTE_KERNEL_ENDPOINT", "").strip()

    @property
    def place(self) -> str:
        """Return which pool, for people."""
        if self.is_local:
            return "local pool on this machine"
        from remote_kernel.core.text.shown_address import host_of  # late, as the start of a kernel waits for imports

        return f"session pool at {host_of(self._environ['REMOTE_KERNEL_ENDPOINT'].strip())}"

    def keep_until(self, when: float) -> None:
        """Keep the pod from cooling down until then at least (seconds since 1970), over restarts of this kernel."""
        self.binding.keep_until = when
        if self.link is not None:
            self.link.keep_alive.keep_until = when

    async def open(self, on_event: OnEvent, hints: Hints) -> Link:
        """Bind if need be, and return the link, which attaches by itself and says all that happens to `on_event`.

        Raises:
            RemoteKernelError: the settings, the identity or the pool's address cannot be used; or a restart that was
                asked for cannot be done now.
        """
        settings, binding = self.settings, await self._identify(hints)
        endpoint = settings.endpoint or this_environment().endpoint
        binding = replace(
            binding,
            keep_until=self.binding.keep_until,
            endpoint=endpoint,
            connection_file=str(self._connection_file.absolute()),
            parent=self._parent,
            host=socket.gethostname(),
        )
        self.binding.remember(binding)
        self.history.open(_owner_of_history(settings, binding.notebook))
        self.wait_seconds = settings.wait_seconds
        log.info(LogEvent("bound", notebook=binding.notebook, scope=settings.scope, is_private=binding.is_private))
        access = self._access
        await self._tidying.catch_up(settings, access)
        pool = self._route(settings, access, binding.identifier, connects_ahead=True)
        make_room = partial(self._tidying.make_room, settings, access, binding.identifier)
        options = LaunchOptions(settings=settings, environ=self._environ, notebook=binding.notebook)
        self.launch = LaunchAsking(options, lambda: self.workspace.in_session if self.workspace else None)
        link = Link(
            pool,
            on_event,
            kernel=binding.kernel,
            kernelspec=binding.kernelspec,
            position=self.binding.position,
            wait_seconds=settings.wait_seconds,
            access_seconds=settings.access_wait_seconds,
            has_own_image=bool(settings.endpoint) and not has_interpreter_address(settings.endpoint),
            keepalive_seconds=settings.keepalive_minutes * 60,
            reader=binding.reader,
            make_room=make_room,
            read_launch=self.launch.read,
            workspace=self._watched,
        )
        link.keep_alive.keep_until = binding.keep_until
        if binding.restart:
            from remote_kernel.kernel.session.restarts import catch_up  # late, as a start waits for imports

            try:
                restarted = (
                    await catch_up(link, pool, make_room, wait_seconds=self.wait_seconds) if binding.epoch else ""
                )
                self.binding.note_restart(restarted)
                link.start_anew()
            except BaseException:
                await pool.aclose()
                raise
        left, self.pool = self.pool, pool
        if left is not None:  # by a link that a defect has ended
            await left.aclose()
        self.link = link
        self._running = start(self._run(link), "link")
        return link

    async def _identify(self, hints: Hints) -> Binding:
        """Return what this kernel is bound to, as far as its notebook and its settings decide that."""
        if self.binding.now is None:
            self.binding.now = await asyncio.to_thread(self._bind, self.settings, hints)
        return self.binding.now

    def _bind(self, settings: Settings, hints: Hints) -> Binding:
        binding = self._identification.bind(settings, hints)
        self.binding.file.remove_stale(time.time())
        remove_old(log_folder(self._environ, self.folders.runtime), time.time())
        return binding

    async def identify(self, hints: Hints) -> str:
        """Return the path of the notebook, "" where nobody knows it; raises as `open` does."""
        return (await self._identify(hints)).notebook

    async def open_saves(self, hints: Hints) -> "SaveStore":
        """Return the saves of the notebook; raises as `open` does."""
        notebook = await self.identify(hints)
        from remote_kernel.io.threads import in_own_thread  # late, as the start of a kernel waits for imports

        return await in_own_thread(self._open_saves, notebook)

    async def has_saves(self, hints: Hints) -> bool:
        """Return whether the notebook has, or had, any saves; raises as `open` does."""
        notebook = await self.identify(hints)
        from remote_kernel.io.threads import in_own_thread

        return await in_own_thread(self._has_saves, notebook)

    def _has_saves(self, notebook: str) -> bool:
        if self.settings.saves:
            return self._open_saves(notebook).folder.is_dir()
        root = self.folders.data / DEFAULT_SAVES_FOLDER
        return root.is_dir() and (root / self._identification.own_saves(self.settings, notebook).folder).is_dir()

    def _open_saves(self, notebook: str) -> "SaveStore":
        from remote_kernel.client.saves.folder import SavesFolder
        from remote_kernel.client.saves.store import SaveStore

        owner = self._identification.own_saves(self.settings, notebook)
        return SaveStore(SavesFolder.of(self.settings, self.folders.data), owner)

    def watch(self, folder: str) -> None:
        """Have the pod say behind each cell what has changed in a folder there; "" for none."""
        self._watched = folder
        if self.link is not None:
            self.link.watch(folder)

    async def _run(self, link: Link) -> None:
        """Run the link; a defect of ours must end in the cell, not in silence."""
        try:
            await link.run()
        except Exception as error:
            self.link = None
            await link.on_event(Failed(report_defect(error)))

    def _route(
        self, settings: Settings, access: Access, identifier: Identifier, *, connects_ahead: bool = False
    ) -> DetectedRoute:
        early = self._early if connects_ahead else None
        pool = PoolClient(access, identifier, connects_ahead=connects_ahead, early=early)
        return DetectedRoute(pool, PoolKindStore(self.folders.runtime, settings.endpoint))

    async def read_history(self, request: Mapping[str, Any], hints: Hints) -> list[list[Any]]:
        """Return the `history` of the reply to a `history_request` with this content, which binds nobody."""
        try:
            return await asyncio.to_thread(self._read_history, request, hints)
        except RemoteKernelError:  # the first cell is told
            return []

    def _read_history(self, request: Mapping[str, Any], hints: Hints) -> list[list[Any]]:
        if self.binding.now is not None:
            notebook = self.binding.now.notebook
        else:
            notebook = str(self._identification.find_notebook(self.settings, hints) or "")
        return self.history.read(_owner_of_history(self.settings, notebook), request)

    def note_busy(self, is_busy: bool) -> None:
        """Let the link know whether the session runs something, which keeps the pod warm."""
        if self.link is not None:
            self.link.keep_alive.is_busy = is_busy

    def note_attached(self, pod: str) -> bool:
        """Remember the session, for a successor of this process; return whether it is in another pod than the user
        expects. What others have left is looked for from now on."""
        link = self.link
        if link is None or link.position is None:
            return False
        self._tidying.begin(self.settings, self._access)
        return self.binding.note_attached(link.position, pod, cooldown_seconds=link.keep_alive.cooldown_seconds)

    def note_position(self, *, is_use: bool = False) -> None:
        """Remember how far the front end has been served, for a successor of this process.

        Args:
            is_use: whether somebody uses the session, which keeps the pod warm for a while.
        """
        if (link := self.link) is not None:
            if is_use:
                link.keep_alive.note_use()
            self.binding.note_position(link.position, cooldown_seconds=link.keep_alive.cooldown_seconds)

    async def restart(self, message: wire.Message, *, within_seconds: float = FAREWELL_SECONDS) -> None:
        """Have the pod start a fresh interpreter, now or, when it cannot be reached, before the next cell."""
        if self.binding.now is None:
            return
        await self._stop_following()
        self.binding.ask_restart()
        restarted = None
        if (link := self.link) is not None and (pool := self.pool) is not None:
            from remote_kernel.kernel.session.restarts import send_farewell

            ask, is_there = partial(self._is_gone, pool), link.position is not None
            restarted = await send_farewell(link, message, ask, within_seconds=within_seconds) if is_there else ""
        if restarted is not None:
            self.binding.note_restart(restarted)
        log.info(LogEvent("restarting", is_done=restarted is not None))
        await self._close()

    async def release(self, *, within_seconds: float = FAREWELL_SECONDS) -> None:
        """Give the session back, unless somebody else uses it: the pod knows, and decides.

        What cannot be done `within_seconds` is done when the user's next kernel starts, under the same
        condition. Where the pool has taken the session there is nothing to do; the pool is asked, as somebody else may
        have kept it warm for longer than this kernel has.
        """
        pool = self.pool
        await self._stop_following()
        release = self._what_to_release()
        if release is not None:
            written = self._releases.add(release)
            with contextlib.suppress(RemoteKernelError, TimeoutError):
                async with asyncio.timeout(within_seconds):
                    if pool is None:  # this process has not looked for the session so far
                        await self._tidying.catch_up(self.settings, self._access)
                    else:
                        await self._give_back(release, pool)
                        self._releases.remove(written)
        await self._close()
        self.binding.file.remove()

    async def _give_back(self, release: Release, pool: Route, *, is_order: bool = False) -> Returned:
        """Give a session back that may be gone; raises as `give_back` does."""
        try:
            if not await self._is_gone(pool):
                returned = await give_back(pool, release, is_order=is_order)
                log.info(LogEvent("session given back", kernels_left=returned.kernels, others=returned.others))
                return returned
        except PoolFull:
            pass  # who has one is let in
        log.info(LogEvent("session gone"))
        return Returned(stopped=False, others=0, kernels=0)

    async def _is_gone(self, pool: Route) -> bool:
        """Return whether the pool has taken the session, as far as it says: to ask a pod would take another one."""
        link = self.link
        if link is not None and link.is_attached and not link.keep_alive.has_cooled_down:
            return False
        return await has_local_pool_left(self._access) or await is_gone(pool)

    async def let_go(self) -> Returned:
        """Give the session back on the user's order, while the kernel lives on; the user is to hear who else used it.

        Raises:
            PoolError: the pool cannot be reached.
            Interrupted: it was cancelled. In both cases the message may have arrived, which the link finds out.
        """
        assert self.pool is not None
        assert self.link is not None
        try:
            await self._stop_following()
            release = self._what_to_release()
            returned = Returned(stopped=False, others=0, kernels=0)
            if release is not None:
                async with asyncio.timeout(LET_GO_SECONDS):
                    returned = await self._give_back(release, self.pool, is_order=True)
            self.link.start_anew()
            self.note_position()
            self.keep_until(0.0)
        except TimeoutError:
            raise PoolUnreachable(f"The session pool does not answer. {UNKNOWN_END}") from None
        except asyncio.CancelledError:
            raise Interrupted(f"The command was interrupted while it gave the session back. {UNKNOWN_END}") from None
        finally:
            self._running = start(self._run(self.link), "link")
        return returned

    async def pause(self) -> None:
        """Stop talking to the session until the next message."""
        assert self.link is not None
        try:
            await self._stop_following()
            log.info(LogEvent("detached"))
            self.link.rest()
        finally:
            self._running = start(self._run(self.link), "link")

    def _what_to_release(self) -> Release | None:
        link, restarted = self.link, self.binding.restarted
        if link is None:  # an earlier process of this kernel may have had it
            epoch, may_be_there = self.binding.epoch or restarted, False
        else:
            epoch, may_be_there = link.position.epoch if link.position else restarted, link.may_leave_session
        return self.binding.release(epoch) if epoch or may_be_there else None

    async def leave(self) -> None:
        """Part without having been asked to: what somebody can come back to stays, the rest is given back."""
        if self.binding.can_be_found:
            await self.detach()
        else:
            await self.release(within_seconds=LEAVING_SECONDS)

    async def detach(self) -> None:
        """Stop talking; the session stays for who comes next."""
        log.info(LogEvent("detached"))
        await self._close()

    async def _stop_following(self) -> None:
        """End the link's own work: a stream that comes back after the shutdown would take a session again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _close(self) -> None:
        await self._stop_following()
        await self._tidying.aclose()
        if self._contact is not None:
            self._contact.cancel()
        if self._early is not None:
            await self._early.aclose()
        if self.pool is not None:
            await self.pool.aclose()
        self.link = None


def _owner_of_history(settings: Settings, notebook: str) -> str:
    """Return what names a history: the notebook or a literal identifier; where nobody knows, as for a console, the
    user's other kernels of that kind share one, as at home."""
    return f"{settings.pod_kernel}\n{notebook or settings.identifier or ''}"
