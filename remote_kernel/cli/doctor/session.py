"""A session taken for a moment: what its pod is, and whether a cell runs in it."""

import asyncio
import contextlib
import json
from time import monotonic
from typing import Any

from remote_kernel.client.pool import PoolClient
from remote_kernel.core import wire
from remote_kernel.core.errors import PoolError, PoolRefused
from remote_kernel.core.interpreter_api import EXECUTIONS_PATH, METADATA_PATH, SESSION_PATH

GIVE_BACK_SECONDS = 2.0

_CODE = "6 * 7"
_RESULT = "42"


class SessionCheck:
    """Takes one session of the pool and gives it back, whatever happens."""

    def __init__(self, pool: PoolClient) -> None:
        self._pool = pool

    async def run(self, read_seconds: float) -> str:
        """Return what was found; raises `PoolError`."""
        try:
            began = monotonic()
            is_agent = await self._has_agent(read_seconds)
            allocated = monotonic()
            await (self._run_by_agent(read_seconds) if is_agent else self._run_by_interpreter(read_seconds))
            first = monotonic()
            await (self._run_by_agent(read_seconds) if is_agent else self._run_by_interpreter(read_seconds))
            again = monotonic()
        finally:
            with contextlib.suppress(PoolError, TimeoutError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._give_back()
        kind = "our agent" if is_agent else "Azure's built-in interpreter"
        return (
            f"pods with {kind}; ready in {allocated - began:.1f} s, first cell in {first - allocated:.1f} s, "
            f"then {(again - first) * 1000:.0f} ms a cell; given back"
        )

    async def _has_agent(self, read_seconds: float) -> bool:
        """Whether the pod runs our agent; raises `PoolRefused` when it is something that we cannot use."""
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
        runtimes = metadata.get("runtimes")
        names = [str(runtime.get("name", "")) for runtime in runtimes] if isinstance(runtimes, list) else []
        if not names:
            raise PoolRefused(
                "The pods of this pool run neither our agent nor Azure's interpreter: use an image that runs "
                "'remote-kernel-pod', and check the pool's target port.",
                status=404,
            )
        if not any("python" in name.lower() for name in names):
            raise PoolRefused(
                f"This pool runs {' and '.join(names)}: use one of type PythonLTS or of custom containers.", status=501
            )
        return False

    async def _run_by_agent(self, read_seconds: float) -> None:
        body = json.dumps({"code": _CODE}).encode()
        async with self._pool.stream("POST", wire.EXECUTE_PATH, content=body, read_seconds=read_seconds) as response:
            text = (await response.read()).decode(errors="replace")
        if not any(_RESULT in line for line in text.splitlines() if '"execute_result"' in line):
            raise PoolRefused("A cell gave no result: look at the log of the pool's container.", status=200)

    async def _run_by_interpreter(self, read_seconds: float) -> None:
        body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": _CODE}
        answer = await self._pool.request(
            "POST", EXECUTIONS_PATH, content=json.dumps(body).encode(), read_seconds=read_seconds
        )
        if _RESULT not in json.dumps(answer.get("result")):
            raise PoolRefused("A cell gave no result: look at the pool's health.", status=200)

    async def _give_back(self) -> None:
        """Stop the pod: custom containers and interpreters have each a way of their own."""
        try:
            await self._pool.request("POST", wire.STOP_SESSION_PATH)
        except PoolRefused:
            await self._pool.request("DELETE", SESSION_PATH)
