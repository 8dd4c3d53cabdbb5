"""Session API of Azure's front door: `/session`, `/listSessions`, `/metadata`, and the end of a custom container's."""

import importlib.metadata
import platform
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from remote_kernel.core.identity import Identifier
from remote_kernel.core.interpreter_api.versions import (
    LIST_SESSIONS_PATH,
    METADATA_PATH,
    SESSION_PATH,
    ApiRefusal,
    parse_api_version,
)
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from remote_kernel.pool.front_door.refusals import Refusal, check_method
from remote_kernel.pool.session_pool import SessionDetails, SessionPool

PATHS = frozenset({SESSION_PATH, LIST_SESSIONS_PATH, METADATA_PATH, STOP_SESSION_PATH})

# Sessions in one answer.
PAGE_SIZE = 100


class SessionApi:
    """The paths of the front door that never reach a pod, nor make one.

    Args:
        read_identifier: how the session that a request names is found.
        now: the time of day.
    """

    def __init__(
        self,
        pool: SessionPool,
        flavor: Flavor,
        read_identifier: Callable[[Scope], Identifier],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._flavor = flavor
        self._read_identifier = read_identifier
        self._now = now
        self._started_at = now()

    def answer(self, scope: Scope) -> Response:
        """Answer a request for one of `PATHS`; raises `Refusal`."""
        if scope["path"] == STOP_SESSION_PATH:
            check_method(scope, "POST")
            if self._flavor is Flavor.INTERPRETER:
                raise Refusal(404, "NotFound", "Sessions of an interpreter pool are ended with DELETE /session.")
            self._stop(scope)
            return JSONResponse({})
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        _check_version(query)
        if scope["path"] == METADATA_PATH:
            check_method(scope, "GET")
            return JSONResponse(self._metadata())
        if scope["path"] == LIST_SESSIONS_PATH:
            check_method(scope, "GET")
            return JSONResponse(self._page(_parse_skip(query)))
        if scope["method"] == "DELETE":
            self._stop(scope)
            return Response(status_code=204)
        check_method(scope, "GET", "DELETE")
        return JSONResponse(self._describe(self._find(self._read_identifier(scope))))

    def _stop(self, scope: Scope) -> None:
        if not self._pool.stop_session(self._read_identifier(scope)):
            raise _unknown_session()

    def _find(self, identifier: Identifier) -> SessionDetails:
        for details in self._pool.sessions():
            if details.identifier == identifier:
                return details
        raise _unknown_session()

    def _page(self, skip: int) -> dict[str, Any]:
        sessions = self._pool.sessions()
        page: dict[str, Any] = {"sessions": [self._describe(details) for details in sessions[skip : skip + PAGE_SIZE]]}
        if skip + PAGE_SIZE < len(sessions):
            page["nextLink"] = f"{LIST_SESSIONS_PATH}?skip={skip + PAGE_SIZE}"
        return page

    def _describe(self, details: SessionDetails) -> dict[str, str]:
        now, status = self._now(), details.status
        expires_in = status.expires_in_seconds
        if expires_in is None:
            expires_in = self._pool.status().cooldown_seconds  # it is starting; a call would begin now
        return {
            "identifier": details.identifier,
            "createdAt": _to_text(now - timedelta(seconds=status.age_seconds)),
            "lastAccessedAt": _to_text(now - timedelta(seconds=status.idle_seconds)),
            "expireAt": _to_text(now + timedelta(seconds=expires_in)),
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


def _check_version(query: dict[str, str]) -> None:
    try:
        version = parse_api_version(query.get("api-version"))
    except ApiRefusal as error:
        raise Refusal(error.status, error.code, str(error)) from None
    if not version.has_session:
        raise Refusal(404, "NotFound", "This path came with the api-version 2025-02-02-preview.")


def _parse_skip(query: dict[str, str]) -> int:
    skip = query.get("skip", "0")
    if not (skip.isascii() and skip.isdigit() and len(skip) < 10):
        raise Refusal(400, "InvalidSkip", "The parameter 'skip' is a count of sessions.")
    return int(skip)


def _unknown_session() -> Refusal:
    return Refusal(404, "SessionNotFound", "No session has this identifier.")


def _to_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _installed() -> list[dict[str, str]]:
    """Return the packages of the pods, which run in the pool's own environment."""
    versions = {dist.name: dist.version for dist in importlib.metadata.distributions()}
    return [{"name": name, "version": versions[name]} for name in sorted(versions, key=str.lower)]
