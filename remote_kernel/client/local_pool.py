"""Finding the local pool of an environment, or starting it."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel.client.http.bounds import limit_of
from remote_kernel.client.http.transport import DEFAULT_TIMINGS, Broke, LoopbackTransport, NoConnection, Timings
from remote_kernel.core.errors import PoolUnreachable, WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.pools.local_pool import (
    LOCAL_SCHEME,
    LOCK_FILE,
    PAGE_LINK_PATH,
    STATUS_PATH,
    STOP_PATH,
    RunningPool,
)
from remote_kernel.io.http1 import proves
from remote_kernel.io.local_pools import folder_of, make_folder, read_pool, registered_names, this_environment
from remote_kernel.io.log_files import POOL_LOG, log_folder
from remote_kernel.io.system.processes import lives

# A cold machine may need that long to import what the daemon needs.
START_TIMEOUT_SECONDS = 30.0
# The pool itself takes up to 3 s to stop its pods.
STOP_TIMEOUT_SECONDS = 10.0
# A pool on this machine answers at once, unless the machine is very busy.
REQUEST_TIMEOUT_SECONDS = 5.0
# How often to look again at a process that ends, of which nothing tells us.
LOOK_AGAIN_SECONDS = 0.05


class LocalPool:
    """The local pool of an environment, whichever process it is.

    Args:
        timings: of what it is asked.
        name: of the environment; "" for that of this process, the only one whose pool can be started here.

    Attributes:
        endpoint: what stands in an endpoint's place for it.
        is_own: whether it is that of this process's environment.
    """

    def __init__(self, *, name: str = "", timings: Timings = DEFAULT_TIMINGS) -> None:
        self._timings = timings
        own = this_environment().name
        self.is_own = name in {"", own}
        self.endpoint = LOCAL_SCHEME + (name or own)
        self._folder = folder_of(name or own)

    @classmethod
    def of_all_environments(cls) -> "list[LocalPool]":
        """Return the pools of this user that are registered, that of this environment first."""
        pools = [cls(name=name) for name in registered_names()]
        return sorted(pools, key=lambda pool: not pool.is_own)

    async def locate(self, environ: Mapping[str, str], options: Sequence[str] = ()) -> RunningPool:
        """Return the running pool; start one when there is none.

        Any number of processes may ask at the same time: one daemon is started. A pool that was located may have left
        when it is called, since it leaves when unused; locate it again then.

        Args:
            environ: variables of this process, from which the daemon gets what it may see.
            options: further options of a daemon that has to be started.

        Raises:
            PoolUnreachable: the daemon did not start, or the runtime folder cannot be written.
            SettingsError: there can be no log where the user wants it.
        """
        log = log_folder(environ, Path(jupyter_runtime_dir())) / POOL_LOG
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                pool = await self.find() or await self._start_once(environ, options)
        except TimeoutError:
            raise _failure(f"is not ready after {START_TIMEOUT_SECONDS:.0f} s", log) from None
        except OSError as error:
            raise _failure(f"cannot be started ({error.strerror})", log) from None
        if pool is None:
            raise _failure("ended while it started", log)
        return pool

    async def find(self) -> RunningPool | None:
        """Return the pool if it is running and proves that it is the one that its file names."""
        pool = read_pool(self._folder)
        if pool is None or not await proves(*pool.address, pool.token, self._timings.proof_seconds):
            return None
        return pool

    async def status(self) -> dict[str, Any] | None:
        """Return what the running pool says of itself, with `endpoint`, `token` and `pid`; `None` without a pool."""
        pool = read_pool(self._folder)
        answer = None if pool is None else await self._request("GET", pool, STATUS_PATH)
        return None if pool is None or answer is None else json.loads(pool.to_json()) | answer

    async def stop(self) -> bool:
        """Stop the running pool and wait until it is gone; `False` when there is none.

        Raises:
            PoolUnreachable: it is still there after 10 s.
        """
        pool = read_pool(self._folder)
        if pool is None or await self._request("POST", pool, STOP_PATH) is None:
            return False
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while read_pool(self._folder) == pool and lives(pool.pid):  # it removes its file when its pods are gone
            if time.monotonic() > deadline:
                raise PoolUnreachable(f"The local pool does not stop: end it with 'kill {pool.pid}'.")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return True

    async def make_page_link(self) -> str | None:
        """Return a URL of the running pool's page that works once, for two minutes; `None` without a pool."""
        pool = read_pool(self._folder)
        answer = None if pool is None else await self._request("POST", pool, PAGE_LINK_PATH)
        path = "" if answer is None else str(answer.get("path", ""))
        # What does not begin so could lead a browser to another host.
        return f"{pool.endpoint}{path}" if pool is not None and path.startswith("/") else None

    async def _start_once(self, environ: Mapping[str, str], options: Sequence[str]) -> RunningPool | None:
        assert self.is_own
        if sys.platform == "win32":  # see `choose_access`
            return None
        from remote_kernel.client.pool_daemon import locked, start_daemon

        make_folder(self._folder)
        async with locked(self._folder / LOCK_FILE) as lock:
            if (pool := await self.find()) is not None:
                return pool
            await start_daemon(lock, environ, options)
            return await self.find()

    async def _request(self, method: str, pool: RunningPool, path: str) -> dict[str, Any] | None:
        """Return the pool's answer; `None` when it is not there, or another program has its port now."""
        transport = LoopbackTransport.to(pool.endpoint, pool.token, self._timings)
        try:
            answer = await transport.send(method, path, pool.token, b"", REQUEST_TIMEOUT_SECONDS)
            if answer.status >= HTTPStatus.BAD_REQUEST:
                return None
            return parse_json_object(await answer.read(), limit_of(path, method=method))
        except (NoConnection, Broke, WireError):
            return None
        finally:
            await transport.aclose()


def _failure(what: str, log: Path) -> PoolUnreachable:
    return PoolUnreachable(
        f"The local session pool {what}. Its log says more: {log}. 'remote-kernel pool' starts one in a terminal."
    )
