"""Check that takes a session for a moment: its pod, and a cell that runs in it."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import Broke
from remote_kernel.client.interpreter.bridge import Bridge
from remote_kernel.client.interpreter.executions import JSON_MEDIA_TYPE, stop_session
from remote_kernel.client.routes.detected_route import not_python
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import NoAgent, PoolError, PoolRefused, PoolUnreachable
from remote_kernel.core.interpreter_api.executions import runtime_names
from remote_kernel.core.interpreter_api.versions import EXECUTIONS_PATH, METADATA_PATH
from remote_kernel.core.wire import frames as wire

GIVE_BACK_SECONDS = 2.0

_CODE = "6 * 7"
_RESULT = "42"


class SessionCheck:
    """Takes one session of the pool and gives it back, whatever happens."""

    def __init__(self, pool: PoolClient) -> None:
        self._pool = pool
        self._bridge: Bridge | None = None

    async def run(self, read_seconds: float) -> str:
        """Return what was found; raises `PoolError`."""
        try:
            began = monotonic()
            kind, run_cell = await self._find_way(read_seconds)
            ready = monotonic()
            await run_cell(read_seconds)
            first = monotonic()
            await run_cell(read_seconds)
            again = monotonic()
        finally:
            with contextlib.suppress(PoolError, TimeoutError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._give_back()
        return (
            f"pods with {kind}; ready in {ready - began:.1f} s, first cell in {first - ready:.1f} s, "
            f"then {(again - first) * 1000:.0f} ms a cell; given back"
        )

    async def _find_way(self, read_seconds: float) -> tuple[str, Callable[[float], Awaitable[None]]]:
        """Return what the pods are, and what runs a cell in this one."""
        if await self._has_agent(read_seconds):
            return "our agent", partial(self._run_by_agent, self._pool)
        bridge = Bridge(self._pool)
        try:
            await self._run_by_agent(bridge, read_seconds)
        except NoAgent as error:
            await bridge.aclose()
            kind = f"Azure's built-in interpreter, which can have no agent ({error}), so that cells do less there"
            return kind, self._run_by_interpreter
        self._bridge = bridge
        return "Azure's built-in interpreter, to which our agent was brought", partial(self._run_by_agent, bridge)

    async def _has_agent(self, read_seconds: float) -> bool:
        """Return whether the pod runs our agent; raises `PoolRefused` when it is something that we cannot use."""
        try:
            await self._pool.request("GET", wire.SESSION_PATH, read_seconds=read_seconds)
        except PoolRefused as error:
            if error.code == "UnknownKernel":  # an agent without a kernel yet
                return True
            if error.status not in {404, 405}:
                raise
            return await self._check_interpreter()
        return True

    async def _check_interpreter(self) -> bool:
        metadata: dict[str, Any] = {}
        with contextlib.suppress(PoolError):
            metadata = await self._pool.request("GET", METADATA_PATH)
        names = runtime_names(metadata)
        if not names:
            raise PoolRefused(
                "The pods of this pool run neither our agent nor Azure's interpreter: use an image that runs "
                "'remote-kernel-pod', and check the pool's target port.",
                status=404,
            )
        if not any("python" in name.lower() for name in names):
            raise not_python(" and ".join(names))
        return False

    async def _run_by_agent(self, way: Route, read_seconds: float) -> None:
        body = json.dumps({"code": _CODE}).encode()
        try:
            async with way.stream("POST", wire.EXECUTE_PATH, content=body, read_seconds=read_seconds) as response:
                text = b"".join([chunk async for chunk in response.chunks()]).decode(errors="replace")
        except Broke as error:
            raise PoolUnreachable(f"The connection to the session broke: {error}.") from None
        if not any(_RESULT in line for line in text.splitlines() if '"execute_result"' in line):
            raise PoolRefused("A cell gave no result: look at the log of the pool's container.", status=200)

    async def _run_by_interpreter(self, read_seconds: float) -> None:
        body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": _CODE}
        answer = await self._pool.request(
            "POST",
            EXECUTIONS_PATH,
            content=json.dumps(body).encode(),
            media_type=JSON_MEDIA_TYPE,
            read_seconds=read_seconds,
        )
        if _RESULT not in json.dumps(answer.get("result")):
            raise PoolRefused("A cell gave no result: look at the pool's health.", status=200)

    async def _give_back(self) -> None:
        """Stop the pod: custom containers and interpreters have each a way of their own."""
        if self._bridge is not None:
            await self._bridge.aclose()
        await stop_session(self._pool)
