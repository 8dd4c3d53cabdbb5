"""The page's part of the pool's HTTP: the page at "/", and all that it needs below a prefix of its own.

A browser shows the cookies of a host to every port of that host. So the cookie opens this page and nothing else, and
what changes something has to come from this very page: the page of another program on this machine is another origin.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from remote_kernel.core.pools.local_pool import PAGE_LINK_PATH, PAGE_PREFIX
from remote_kernel.pool.front_door.address_prefix import PREFIX_HEADER
from remote_kernel.pool.front_door.exchange import RequestBody
from remote_kernel.pool.front_door.forward import SESSION_HEADER
from remote_kernel.pool.front_door.refusals import Refusal
from remote_kernel.pool.page.admission import LINK_SECONDS, Admission
from remote_kernel.pool.page.pulse import take_pulses
from remote_kernel.pool.page.recent_log import RecentLog
from remote_kernel.pool.page.rendering import asset, render_message, render_page
from remote_kernel.pool.page.view import PageView, make_view
from remote_kernel.pool.session_pool import SessionPool

ROOT_PATH = "/"
OPEN_PATH = PAGE_PREFIX + "open"
FEED_PATH = PAGE_PREFIX + "feed"
STOP_PATH = PAGE_PREFIX + "stop"

# A form with one label.
MAX_FORM_BYTES = 1024

_OPEN_COMMAND = "remote-kernel pool status --open"

_MEDIA_TYPES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "chart.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

_POD_HEADERS = {SESSION_HEADER.decode(), PREFIX_HEADER.decode()}

_HEADERS = {
    # No address outside, no script or style within the HTML, no frame around it.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # With "no-referrer" a browser would give "null" as the origin of our own forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class _Who(Enum):
    """Visitors who may come in, beside those who have the pool's token."""

    ANYBODY = auto()  # it is the same for all, or says how to come in
    VISITOR = auto()
    PAGE = auto()  # a visitor, by a form or a script of the page itself
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    who: _Who
    answer: Callable[[Request, RequestBody], Awaitable[Response]]


class Site:
    """The page of a pool as a part of its application.

    Args:
        log: what the page shows of the pool's log.
    """

    def __init__(self, pool: SessionPool, log: RecentLog) -> None:
        self._pool = pool
        self._log = log
        self._admission = Admission()
        self._routes = {
            ROOT_PATH: _Route("GET", _Who.ANYBODY, self._page),
            OPEN_PATH: _Route("GET", _Who.ANYBODY, self._open),
            FEED_PATH: _Route("GET", _Who.VISITOR, self._feed),
            STOP_PATH: _Route("POST", _Who.PAGE, self._stop),
            PAGE_LINK_PATH: _Route("POST", _Who.NOBODY, self._make_link),
            **{PAGE_PREFIX + name: _Route("GET", _Who.ANYBODY, _asset) for name in _MEDIA_TYPES},
        }

    def owns(self, scope: Scope) -> bool:
        """Return whether a request is for the page. One for "/" that names a session or the pool is for a pod."""
        path: str = scope["path"]
        if path != ROOT_PATH:
            return path.startswith(PAGE_PREFIX)
        request = Request(scope)
        names_pod = "identifier" in request.query_params or not _POD_HEADERS.isdisjoint(request.headers)
        return request.method == "GET" and not names_pod

    def admits(self, scope: Scope) -> bool:
        """Return whether a request may come in without the pool's token."""
        route = self._routes.get(scope["path"])
        if not self.owns(scope) or route is None or route.who is _Who.NOBODY:
            return False
        request = Request(scope)
        return route.who is _Who.ANYBODY or (
            self._is_visitor(request) and (route.who is _Who.VISITOR or _is_from_this_page(request))
        )

    async def answer(self, scope: Scope, body: RequestBody) -> Response:
        """Answer a request that may come in; raises `Refusal`."""
        route = self._routes.get(scope["path"])
        if route is None:
            raise Refusal(404, "NotFound", "The pool's page has no such part.")
        if scope["method"] != route.method:
            raise Refusal(405, "MethodNotAllowed", f"Use {route.method}.", [("allow", route.method)])
        response = await route.answer(Request(scope), body)
        response.headers.update(_HEADERS)
        return response

    async def _page(self, request: Request, _body: RequestBody) -> Response:
        if not self._is_visitor(request):
            sentence = "This page is for the user whose pool it is. This command opens it:"
            return HTMLResponse(render_message("Session pool", sentence, _OPEN_COMMAND), 401)
        return HTMLResponse(render_page(await self._view(), request.headers["host"]))

    async def _feed(self, _request: Request, _body: RequestBody) -> Response:
        return JSONResponse((await self._view()).to_json())

    async def _view(self) -> PageView:
        pulses = await take_pulses(self._pool.transports())
        return make_view(self._pool.status(), pulses, self._pool.history, self._log.text, time.monotonic())

    async def _make_link(self, _request: Request, _body: RequestBody) -> Response:
        path = f"{OPEN_PATH}?link={self._admission.make_link(time.monotonic())}"
        return JSONResponse({"path": path, "expires_in_seconds": LINK_SECONDS})

    async def _open(self, request: Request, _body: RequestBody) -> Response:
        visit = self._admission.redeem(request.query_params.get("link", ""), time.monotonic())
        if visit is None:
            sentence = "It has been used, or is too old. This command makes another one:"
            return HTMLResponse(render_message("This link works no more", sentence, _OPEN_COMMAND), 403)
        # Not a redirection: after a click on another site's page a browser would follow it without the cookie.
        response = HTMLResponse(asset("opening.html"))
        response.set_cookie(_cookie_name(request), visit, httponly=True, samesite="strict")
        return response

    async def _stop(self, _request: Request, body: RequestBody) -> Response:
        form = parse_qs((await _read_form(body)).decode("latin-1"))
        for session in self._pool.sessions():  # one that is gone already is what was asked for
            if session.status.label == form.get("label", [""])[0]:
                self._pool.stop_session(session.identifier)
        return RedirectResponse(ROOT_PATH, 303)

    def _is_visitor(self, request: Request) -> bool:
        return self._admission.admits(request.cookies.get(_cookie_name(request), ""), time.monotonic())


async def _asset(request: Request, _body: RequestBody) -> Response:
    name = request.scope["path"].removeprefix(PAGE_PREFIX)
    return Response(asset(name), media_type=_MEDIA_TYPES[name])


def _cookie_name(request: Request) -> str:
    """Return a name of this pool's own: another one on this machine, at another port, would overwrite the cookie."""
    return f"remote-kernel-pool-{request.scope['server'][1]}"


def _is_from_this_page(request: Request) -> bool:
    """Return whether a request was made by a page from this address and port, which a browser says truly of every
    POST."""
    return request.headers.get("origin") == f"http://{request.headers['host']}"


async def _read_form(body: RequestBody) -> bytes:
    form = b""
    async for piece in body:
        form += piece
        if len(form) > MAX_FORM_BYTES:
            raise Refusal(413, "RequestTooLarge", "The form is too large.")
    return form
