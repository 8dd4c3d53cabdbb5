"""The front door: who may come in, which session a request belongs to, and what is answered if something is wrong."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from remote_kernel.core.errors import PoolFull
from remote_kernel.core.identity import Identifier, is_identifier
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.pools.front_door import BAD_IDENTIFIER
from remote_kernel.core.pools.local_pool import SOCKET_PATH, STATUS_PATH, STOP_PATH
from remote_kernel.core.pools.pool_proof import PROOF_PATH
from remote_kernel.core.short_cache import remembered
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.http1.server import vouch
from remote_kernel.pool.front_door.address_prefix import strip_prefix
from remote_kernel.pool.front_door.callers import Callers
from remote_kernel.pool.front_door.exchange import BodyStalled, RequestBody, serve_while_connected
from remote_kernel.pool.front_door.forward import (
    SESSION_HEADER,
    PodBroke,
    PodBusy,
    PodGone,
    ResponseCut,
    body_length,
    forward,
)
from remote_kernel.pool.front_door.refusals import Refusal, check_method, pool_full, refuse, unavailable
from remote_kernel.pool.front_door.session_api import SessionApi
from remote_kernel.pool.page.recent_log import RecentLog
from remote_kernel.pool.page.site import Site
from remote_kernel.pool.processes.pods import Pod, PodFailed
from remote_kernel.pool.session_pool import SessionPool

DEFAULT_IDENTIFIER = "default-session"

_log = logging.getLogger(__name__)


class PoolApp:
    """The pool as an ASGI application.

    Args:
        callers: who may come in.
        flavor: what its pods are.
        request_cap: after how many seconds a request to a pod is cut; `None` for never.
        body_seconds: how long a client may send nothing within a body.
        stop: called when somebody asks the pool to leave.
        log: what the pool's page shows of its log.
    """

    def __init__(
        self,
        pool: SessionPool,
        callers: Callers,
        flavor: Flavor,
        request_cap: float | None,
        body_seconds: float,
        stop: Callable[[], None],
        log: RecentLog,
    ) -> None:
        self._session_api = SessionApi(pool, flavor, read_identifier)
        self._flavor = flavor
        self._request_cap = request_cap
        self._body_seconds = body_seconds
        self._pool = pool
        self._callers = callers
        self._stop = stop
        self._site = Site(pool, log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request.

        Returns without a complete answer when a pod's answer was cut, so that the server closes the connection and the
        client sees the cut.
        """
        scope = strip_prefix(scope)
        try:
            self._callers.check_site(scope)
            if scope["path"] == PROOF_PATH:  # for those who do not trust this address with a token so far
                await self._prove(scope)(scope, receive, send)
                return
            length = None  # of what strangers announce, nothing is waited for that is not asked for
            if not self._site.admits(scope):
                await self._callers.check_token(scope)
                vouch(scope)
                length = body_length(scope["headers"])
            serve = partial(self._serve, scope, receive, send)
            await serve_while_connected(receive, length, self._body_seconds, serve)
        except Refusal as refusal:
            _log.debug(LogEvent("refused", status=refusal.status, code=refusal.code))
            await refuse(refusal)(scope, receive, send)
        except BodyStalled:
            stalled = Refusal(408, "RequestTimeout", "The rest of the request did not arrive.")
            await refuse(stalled)(scope, receive, send)
        except ResponseCut:
            _log.info(LogEvent("answer cut"))
        except Exception:
            _log.exception(LogEvent("failed inside"))
            fault = Refusal(500, "InternalError", "The pool has a fault; its log says where.")
            await refuse(fault)(scope, receive, send)

    def _prove(self, scope: Scope) -> Response:
        check_method(scope, "GET")
        challenge = parse_qs(scope["query_string"].decode("latin-1")).get("challenge", [""])[0]
        return PlainTextResponse(self._callers.prove(challenge, tuple(scope["server"])))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, body: RequestBody) -> None:
        path = scope["path"]
        if path == STATUS_PATH:
            check_method(scope, "GET")
            response: Response = JSONResponse(self._pool.status().to_json())
        elif path == STOP_PATH:
            check_method(scope, "POST")
            response = JSONResponse({}, 202)
            asyncio.get_running_loop().call_soon(self._stop)  # behind the answer
        elif path == SOCKET_PATH:
            check_method(scope, "GET")
            response = JSONResponse({"socket": str(await self._find_socket(scope))})
        elif self._session_api.owns(scope):
            response = self._session_api.answer(scope)
        elif self._site.owns(scope):
            response = await self._site.answer(scope, body)
        else:
            await self._forward(scope, send, body)
            return
        await response(scope, receive, send)

    async def _find_socket(self, scope: Scope) -> Path:
        """Return where a session's pod listens, unless the pool has something to do to its requests."""
        identifier, socket = read_identifier(scope), None
        if not (self._flavor is Flavor.INTERPRETER or self._request_cap is not None or self._callers.has_issuer):
            socket = self._pool.give_socket(identifier, await self._acquire(identifier))
        if socket is None:
            raise Refusal(404, "NotFound", "Requests to this session go through the front door.")
        return socket

    async def _acquire(self, identifier: Identifier) -> Pod:
        try:
            return await self._pool.acquire(identifier)
        except PoolFull as error:
            raise pool_full(str(error), error.retry_after_seconds or 0.0, error.usage) from None
        except PodFailed as error:
            raise unavailable(f"The session's pod did not start; nothing was run: {error}.") from None

    async def _forward(self, scope: Scope, send: Send, body: RequestBody) -> None:
        identifier = read_identifier(scope)
        if not scope["raw_path"].startswith(b"/"):
            raise Refusal(400, "InvalidPath", "Ask for a path that begins with '/'.")
        pod = await self._acquire(identifier)
        has_begun = False

        async def pass_on(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._request_cap):
                await forward(pod.http, scope, body, pass_on, identifier)
        except TimeoutError:
            if has_begun:
                raise ResponseCut from None
            raise Refusal(504, "RequestTimeout", "The request took longer than the pool allows.") from None
        except PodGone:
            self._pool.discard(pod)
            raise unavailable("The session's pod is gone; nothing was run.") from None
        except PodBusy as error:
            _log.warning(LogEvent("pod busy", reason=str(error)))
            raise unavailable(f"The session's pod cannot be reached at the moment; nothing was run: {error}.") from None
        except PodBroke:
            message = "The session's pod went away before it answered."
            raise Refusal(502, "SessionBroken", message) from None


def read_identifier(scope: Scope) -> Identifier:
    """Return the session that a request names: `identifier=`, else `X-Session-ID`, else a session for all the others.

    Raises:
        Refusal: it is not an identifier that Azure allows, or several are given.
    """
    try:
        named = _named_in(scope["query_string"]) or [
            value.decode("ascii") for name, value in scope["headers"] if name == SESSION_HEADER
        ]
    except ValueError:
        named = [""]
    candidates = set(named or [DEFAULT_IDENTIFIER])
    identifier = candidates.pop()
    if candidates or not is_identifier(identifier):
        raise Refusal(400, BAD_IDENTIFIER, "Use one identifier of 4 to 128 letters, digits and hyphens.")
    return Identifier(identifier)


@remembered(64)  # a session's requests say the same again and again
def _named_in(query: bytes) -> Sequence[str]:
    """Return what a query names; raises `ValueError` when it is no query."""
    return parse_qs(query.decode("ascii"), keep_blank_values=True, errors="strict").get("identifier", ())
