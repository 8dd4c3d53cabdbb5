"""Transport to a session on this machine, past its pool: the pool says where the pod listens, and the rest goes there.

Of a cell's time through a local pool a tenth is the pool's, which has nothing to do for it. What the pool decides it
goes on deciding: it allocates the pod before it names the socket, reads from the pod when it was last called, and ends
it. Who finds nobody at the socket goes to the pool, which knows more.
"""

import asyncio
import os
import re
import stat
import sys
from http import HTTPStatus
from pathlib import Path

from remote_kernel.client.http.transport import Broke, LoopbackTransport, NoConnection, Response, Timings, Transport
from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.pools.local_pool import SOCKET_PATH
from remote_kernel.core.wire.frames import AGENT_PREFIX
from remote_kernel.io import http1

# A pod's socket in the pod's folder, as `remote_kernel.pool.processes.pods` makes them.
_POD = re.compile(r"rk-pod-[^/]+/s")

# Servers in pods close a connection that was idle for 5 s.
KEEPALIVE_SECONDS = 2.0


class DirectTransport:
    """See `Transport`.

    Args:
        pool: to the pool.
        session: the query that names the session.
    """

    def __init__(self, pool: Transport, session: str, timings: Timings) -> None:
        self._pool = pool
        self._session = session
        self._timings = timings
        self._pod: LoopbackTransport | None = None
        self._gives_none = False
        self._asking = asyncio.Lock()

    async def send(
        self, method: str, target: str, token: str, content: bytes, read_seconds: float, media_type: str = ""
    ) -> Response:
        """See `Transport`; a refusal to name the socket is the answer to the request."""
        if target.startswith(AGENT_PREFIX):
            async with self._asking:
                refusal = await self._find_pod(token, read_seconds) if self._pod is None else None
            if refusal is not None:
                return refusal
            if (pod := self._pod) is not None:
                response = await self._send_to(pod, method, target, content, read_seconds, media_type)
                if response is not None:
                    return response
        return await self._pool.send(method, target, token, content, read_seconds, media_type)

    async def _send_to(
        self, pod: LoopbackTransport, method: str, target: str, content: bytes, read_seconds: float, media_type: str
    ) -> Response | None:
        """Send a request to the pod; `None` where that takes no more, and nothing was run."""
        try:
            response = await pod.send(method, target, "", content, read_seconds, media_type)
        except NoConnection:
            self._leave(pod)
            return None
        except Broke:
            self._leave(pod)
            raise
        if response.status != HTTPStatus.SERVICE_UNAVAILABLE:
            return response
        await response.aclose()  # it is being stopped
        self._leave(pod)
        return None

    async def _find_pod(self, token: str, read_seconds: float) -> Response | None:
        """Ask the pool for the pod's socket; return what else it answers, unless that is that it names none."""
        if self._gives_none:
            return None
        response = await self._pool.send("GET", f"{SOCKET_PATH}?{self._session}", token, b"", read_seconds)
        if response.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            return response
        try:
            body = await response.read()
        finally:
            await response.aclose()
        path = _parse_socket(body) if response.status == HTTPStatus.OK else None
        self._gives_none = path is None
        if path is not None:
            client = http1.Client.unix(str(path), keepalive_seconds=KEEPALIVE_SECONDS)
            self._pod = LoopbackTransport(client, b"pod", timings=self._timings)
        return None

    def _leave(self, pod: LoopbackTransport) -> None:
        """Ask anew for the next request; another one that is on its way to the pod ends as it ends."""
        if self._pod is pod:
            self._pod = None
            pod.drop_idle()

    async def warm_up(self) -> None:
        """See `Transport`: a Unix socket is there at once."""

    def drop_idle(self) -> None:
        self._pool.drop_idle()
        if self._pod is not None:
            self._pod.drop_idle()

    async def aclose(self) -> None:
        await self._pool.aclose()
        if self._pod is not None:
            await self._pod.aclose()


def _parse_socket(body: bytes) -> Path | None:
    """Return the socket that a pool names; `None` where it names none in a folder that is this user's alone."""
    try:
        path = Path(str(parse_json_object(body, ANSWER)["socket"]))
        is_a_pod_s = path.is_absolute() and _POD.fullmatch("/".join(path.parts[-2:]))
        return path if is_a_pod_s and _is_private(path.parent) else None
    except (WireError, KeyError, OSError, ValueError):
        return None


def _is_private(folder: Path) -> bool:
    if sys.platform == "win32":
        return False
    found = folder.lstat()
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
