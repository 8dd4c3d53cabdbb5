"""Session API of Azure's front door: what is below `/.management/` and, of its own interpreters, `/session`,
`/listSessions` and `/metadata`."""

import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

from remote_kernel.core.identity import Identifier
from remote_kernel.core.interpreter_api.versions import (
    LIST_SESSIONS_PATH,
    METADATA_PATH,
    SESSION_PATH,
    ApiRefusal,
    ApiVersion,
    parse_api_version,
)
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, LIST_MANAGED_PATH, SESSION_NOT_FOUND
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from remote_kernel.pool.front_door.refusals import Refusal, check_method
from remote_kernel.pool.session_pool import SessionDetails, SessionPool

# Sessions in one answer, as Azure has them for custom containers.
PAGE_SIZES: Mapping[str, int] = {LIST_SESSIONS_PATH: 100, LIST_MANAGED_PATH: 300}

_MANAGED = frozenset({GET_SESSION_PATH, LIST_MANAGED_PATH, STOP_SESSION_PATH})
# Of pools of custom containers these are the container's.
_BUILT_IN = frozenset({SESSION_PATH, LIST_SESSIONS_PATH, METADATA_PATH})


class SessionApi:
    """The paths of the front door that never reach a pod, nor make one.

    Args:
        read_identifier: how the session that a request names is found.
        now: the time of day.
        page_sizes: how many sessions are in one answer, by its path.
    """

    def __init__(
        self,
        pool: SessionPool,
        flavor: Flavor,
        read_identifier: Callable[[Scope], Identifier],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        page_sizes: Mapping[str, int] = PAGE_SIZES,
    ) -> None:
        self._pool = pool
        self._flavor = flavor
        self._read_identifier = read_identifier
        self._now = now
        self._page_sizes = page_sizes
        self._started_at = now()

    def owns(self, scope: Scope) -> bool:
        """Return whether a request is for the front door itself."""
        return scope["path"] in _MANAGED or (self._flavor is Flavor.INTERPRETER and scope["path"] in _BUILT_IN)

    def answer(self, scope: Scope) -> Response:
        """Answer a request that it owns; raises `Refusal`."""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        version = _read_version(query)
        if scope["path"] in _MANAGED:
            check_method(scope, "POST")
            return self._answer_managed(scope, query)
        if not version.has_session:
            raise Refusal(404, "NotFound", "This path came with the api-version 2025-02-02-preview.")
        return self._answer_built_in(scope, query)

    def _answer_managed(self, scope: Scope, query: dict[str, str]) -> Response:
        if scope["path"] == LIST_MANAGED_PATH:
            entries, following = self._page(scope, _parse_skip(query), "expiresAt")
            if following:
                host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
                following = f"{scope['scheme']}://{host}{following}"
            return JSONResponse({"value": entries, "count": len(entries), "nextLink": following or None})
        identifier = self._read_identifier(scope)
        if scope["path"] == STOP_SESSION_PATH:
            if self._flavor is Flavor.INTERPRETER:
                raise Refusal(404, "NotFound", "Sessions of an interpreter pool are ended with DELETE /session.")
            self._stop(identifier)
            return PlainTextResponse(f"Session {identifier} in session pool local stopped.")
        return JSONResponse(self._describe(self._find(identifier), "expiresAt"))

    def _answer_built_in(self, scope: Scope, query: dict[str, str]) -> Response:
        if scope["path"] == METADATA_PATH:
            check_method(scope, "GET")
            return JSONResponse(self._metadata())
        if scope["path"] == LIST_SESSIONS_PATH:
            check_method(scope, "GET")
            entries, following = self._page(scope, _parse_skip(query), "expireAt")
            return JSONResponse({"sessions": entries, **({"nextLink": following} if following else {})})
        check_method(scope, "GET", "DELETE")
        identifier = self._read_identifier(scope)
        if scope["method"] == "DELETE":
            self._stop(identifier)
            return Response(status_code=204)
        return JSONResponse(self._describe(self._find(identifier), "expireAt"))

    def _stop(self, identifier: Identifier) -> None:
        if not self._pool.stop_session(identifier):
            raise _unknown_session()

    def _find(self, identifier: Identifier) -> SessionDetails:
        for details in self._pool.sessions():
            if details.identifier == identifier:
                return details
        raise _unknown_session()

    def _page(self, scope: Scope, skip: int, expiry_name: str) -> tuple[list[dict[str, str]], str]:
        """Return the entries of a page, and where the next one is; "" for none."""
        size, sessions = self._page_sizes[scope["path"]], self._pool.sessions()
        entries = [self._describe(details, expiry_name) for details in sessions[skip : skip + size]]
        return entries, f"{scope['path']}?skip={skip + size}" if skip + size < len(sessions) else ""

    def _describe(self, details: SessionDetails, expiry_name: str) -> dict[str, str]:
        """Return what is told of a session; its expiry has different names on different paths."""
        now, status = self._now(), details.status
        expires_in = status.expires_in_seconds
        if expires_in is None:
            expires_in = self._pool.status().cooldown_seconds  # it is starting; a call would begin now
        return {
            "identifier": details.identifier,
            "createdAt": _to_text(now - timedelta(seconds=status.age_seconds)),
            "lastAccessedAt": _to_text(now - timedelta(seconds=status.idle_seconds)),
            expiry_name: _to_text(now + timedelta(seconds=expires_in)),
            "etag": details.etag,
        }

    def _metadata(self) -> dict[str, Any]:
        started_at = _to_text(self._started_at)
        return {
            "runtimes": [{"name": "python", "version": platform.python_version()}],
            "preInstalledPackages": _installed(),
            "createdAt": started_at,
            "lastUpdatedAt": started_at,
            "jupyterKernel": {
                "name": "ipykernel",
                "version": importlib.metadata.version("ipykernel"),
                "projectUrl": "https://github.com/ipython/ipykernel",
                "description": "IPython kernel for Jupyter",
            },
        }


def _read_version(query: dict[str, str]) -> ApiVersion:
    try:
        return parse_api_version(query.get("api-version"))
    except ApiRefusal as error:
        raise Refusal(error.status, error.code, str(error)) from None


def _parse_skip(query: dict[str, str]) -> int:
    skip = query.get("skip", "0")
    if not (skip.isascii() and skip.isdigit() and len(skip) < 10):
        raise Refusal(400, "InvalidSkip", "The parameter 'skip' is a count of sessions.")
    return int(skip)


def _unknown_session() -> Refusal:
    return Refusal(400, SESSION_NOT_FOUND, "No session has this identifier.")


def _to_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _installed() -> list[dict[str, str]]:
    """Return the packages of the pods, which run in the pool's own environment."""
    versions = {dist.name: dist.version for dist in importlib.metadata.distributions()}
    return [{"name": name, "version": versions[name]} for name in sorted(versions, key=str.lower)]
