"""Route to a session, found out from the pool: to an agent in its pods, or into their built-in interpreters."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import WRITE_SECONDS
from remote_kernel.client.routes.pool_kind import PoolKind, PoolKindStore
from remote_kernel.client.routes.route import Body, Route
from remote_kernel.core.errors import NoAgent, NoAnswer, PoolError, PoolRefused
from remote_kernel.core.wire.frames import AGENT_PREFIX, SESSION_PATH
from remote_kernel.core.wire.launch import LAUNCH_PATH


class DetectedRoute:
    """A `Route` that is the right one for the pool.

    The first request goes the way that was right the last time. Where nobody understands it there, it goes the other
    way; nothing has run then, so that no request runs twice.
    """

    def __init__(self, pool: PoolClient, known: PoolKindStore) -> None:
        self._pool = pool
        self._known = known
        self._way: Route = pool if known.kind is PoolKind.AGENT else _bridge(pool)
        self._is_proven = False
        self._strays: dict[PoolKind, PoolError] = {}

    @property
    def stale_seconds(self) -> float | None:
        return self._way.stale_seconds

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = WRITE_SECONDS,
    ) -> dict[str, Any]:  # fmt: skip
        while True:
            way = self._way
            try:
                answer = await way.request(method, path, params=params, content=content, read_seconds=read_seconds)
            except (PoolRefused, NoAgent, NoAnswer) as error:
                await self._turn(way, path, error)
                continue
            self._note_success(path)
            return answer

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator[Body]:  # fmt: skip
        while True:
            way = self._way
            async with AsyncExitStack() as stack:
                opening = way.stream(method, path, params=params, content=content, read_seconds=read_seconds)
                try:
                    body = await stack.enter_async_context(opening)
                except (PoolRefused, NoAgent, NoAnswer) as error:
                    await self._turn(way, path, error)
                    continue
                self._note_success(path)
                yield body
                return

    @property
    def piece_bytes(self) -> int:
        return self._way.piece_bytes

    @property
    def should_compress(self) -> bool:
        return self._way.should_compress

    def drop_idle(self) -> None:
        self._way.drop_idle()

    async def aclose(self) -> None:
        """Close every connection."""
        if self._way is not self._pool:
            await self._way.aclose()
        await self._pool.aclose()

    def _note_success(self, path: str) -> None:
        if not self._is_proven and path.startswith(AGENT_PREFIX):
            self._is_proven = True
            self._known.learn(self._kind)

    async def _turn(self, way: Route, path: str, error: PoolRefused | NoAgent | NoAnswer) -> None:
        """Go on another way after a refusal; raises `error`, or a better one, when there is none."""
        if way is not self._way:
            return  # another request has turned already
        if isinstance(error, NoAgent):
            await self._go(_plain(self._pool, str(error)))
            return
        if self._is_proven or not path.startswith(AGENT_PREFIX):
            raise error
        if isinstance(error, NoAnswer) or (error.status == HTTPStatus.BAD_REQUEST and way is not self._pool):
            raise await self._describe_runtime(error) from None
        if not _is_not_understood(error):
            raise error
        if path == LAUNCH_PATH:
            await self._find_out(way, error)
            return
        self._strays[self._kind] = error
        if len(self._strays) == len(PoolKind):
            # It is neither; what the pool said to the simpler request says it best.
            stray = self._strays[PoolKind.AGENT]
            self._strays.clear()
            raise stray
        await self._go(self._pool if self._kind is PoolKind.INTERPRETER else _bridge(self._pool))

    async def _find_out(self, way: Route, error: PoolError) -> None:
        """Go the right way, by a request that each agent knows; raises `error` where that is the way `way`."""
        await self.request("GET", SESSION_PATH)
        if way is self._way:
            raise error

    async def _go(self, way: Route) -> None:
        left, self._way = self._way, way
        if left is not self._pool:
            await left.aclose()

    @property
    def _kind(self) -> PoolKind:
        return PoolKind.AGENT if self._way is self._pool else PoolKind.INTERPRETER

    async def _describe_runtime(self, error: PoolError) -> PoolError:
        """Return what to say of an interpreter that does not run our code."""
        from remote_kernel.core.interpreter_api.executions import runtime_names  # late, as below
        from remote_kernel.core.interpreter_api.versions import METADATA_PATH

        with contextlib.suppress(PoolError):
            names = runtime_names(await self._pool.request("GET", METADATA_PATH))
            if names and not any("python" in name.lower() for name in names):
                return not_python(" and ".join(names))
        return error


# Most kernels need none of these, and each of them starts sooner without.
def _bridge(pool: PoolClient) -> Route:
    from remote_kernel.client.interpreter.bridge import Bridge

    return Bridge(pool)


def _plain(pool: PoolClient, reason: str) -> Route:
    from remote_kernel.client.interpreter.agentless import AgentlessRoute

    return AgentlessRoute(pool, reason)


def _is_not_understood(error: PoolRefused) -> bool:
    """Return whether nobody there knows such a request."""
    from remote_kernel.core.wire.files import FILE_MISSING  # late, as every start of a kernel waits for imports

    # With status 404, of a pod that runs an agent: the request was understood.
    of_agent = {"UnknownKernel", FILE_MISSING}
    return error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} and error.code not in of_agent


def not_python(runtime: str) -> PoolRefused:
    return PoolRefused(
        f"This session pool runs {runtime}, and notebooks run in Python here: set REMOTE_KERNEL_ENDPOINT to a pool of "
        "type PythonLTS, or to a custom container pool.",
        status=HTTPStatus.NOT_IMPLEMENTED,
        code="NotPython",
    )
