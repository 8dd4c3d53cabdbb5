"""Bounds of an answer, found by the path that was asked for: whoever makes a request need not think of them."""

from http import HTTPStatus

from remote_kernel.core import limits
from remote_kernel.core.limits import Limit
from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH
from remote_kernel.core.pools.local_pool import STATUS_PATH
from remote_kernel.core.wire import frames as wire

_UNBOUNDED = Limit(kind="", reason="A stream has no end; what reads it bounds its frames.")

_OF_AGENT = {
    wire.EVENTS_PATH: _UNBOUNDED,
    wire.SESSION_PATH: limits.SESSION,
    wire.EXECUTE_PATH: limits.TRIAL,
    wire.PACKAGES_PATH: limits.SESSION,
    wire.CALLS_PATH: limits.SAVE_CALL,
    wire.CANCEL_PATH: limits.SAVE_CALL,
    STATUS_PATH: limits.SESSION,
    LIST_MANAGED_PATH: limits.SESSION_LIST,
}

_FILES = "/api/v2/files"

# Every other path of ours begins so.
_NOT_OF_INTERPRETERS = ("/api/", "/.")


def limit_of(path: str, status: int = HTTPStatus.OK, method: str = "GET") -> Limit:
    """Return the bounds of the answer to a request for `path`, which may have a query."""
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return limits.REFUSAL
    path = path.partition("?")[0]
    if path.startswith(_FILES):
        return _of_files(path, method)
    if path in _OF_AGENT:
        return _OF_AGENT[path]
    return limits.ANSWER if path.startswith(_NOT_OF_INTERPRETERS) else _of_interpreter(path)


def _of_files(path: str, method: str) -> Limit:
    from remote_kernel.core.wire import files  # late, as every start of a kernel waits for imports

    if path == files.CONTENT_PATH and method != "GET":
        return limits.ANSWER
    return {
        files.FILES_PATH: limits.LISTING,
        files.CONTENT_PATH: limits.FILE_PIECE,
        files.BATCH_PATH: limits.FILE_NAMES,
        files.FETCH_PATH: limits.FILE_PIECE,
        files.REMOVE_PATH: limits.FILE_NAMES,
    }.get(path, limits.ANSWER)


def _of_interpreter(path: str) -> Limit:
    from remote_kernel.core.interpreter_api import versions

    first, _, _ = path.removeprefix("/").partition("/")
    return {
        versions.EXECUTIONS_PATH: limits.EXECUTION,
        versions.LIST_SESSIONS_PATH: limits.SESSION_LIST,
        versions.METADATA_PATH: limits.SESSION,
    }.get(f"/{first}", limits.ANSWER)
