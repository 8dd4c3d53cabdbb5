"""Replies of the local kernel's own: contents with nothing of the pod in them."""

from collections.abc import Mapping
from typing import Any

from remote_kernel import __version__
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import PROTOCOL_VERSION, parse_reply
from remote_kernel.core.numbers import MAX_SEQUENCE

_NO_SESSION = {
    "status": "error", "ename": "NoSession", "evalue": "The remote session has not started.", "traceback": [],
}  # fmt: skip

_RED, _BOLD, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def kernel_info(known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the content of a `kernel_info_reply`: the pod's own where `known`, else that of an IPython kernel.

    Args:
        known: as `checked_kernel_info` returns it.
    """
    if known:
        return {**known, "status": "ok"}
    return {
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "ipython",
        "implementation_version": __version__,
        "language_info": {
            "name": "python",
            "version": "3",
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython", "version": 3},
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        },
        "banner": "Python in a remote session; the session starts with the first cell.\n",
        "help_links": [],
        "supported_features": ["kernel subshells", "debugger"],
    }


def without_session(msg_type: str, content: Mapping[str, Any], *, is_python: bool) -> dict[str, Any]:
    """Return the content of the reply to a request that is answered before there is a session, as `first_requests` has
    it: what a kernel says that has run nothing."""
    match msg_type:
        case "execute_request":
            errors = {str(name): _NO_SESSION for name in _object(content.get("user_expressions"))}
            return {"status": "ok", "execution_count": 0, "user_expressions": errors, "payload": []}
        case "complete_request":
            cursor = content.get("cursor_pos")
            place = cursor if isinstance(cursor, int) else 0
            return {"status": "ok", "matches": [], "cursor_start": place, "cursor_end": place, "metadata": {}}
        case "inspect_request":
            return {"status": "ok", "found": False, "data": {}, "metadata": {}}
        case "is_complete_request":
            return _judge(str(content.get("code", ""))) if is_python else {"status": "unknown"}
        case "comm_info_request":
            return {"status": "ok", "comms": {}}
        case "history_request":
            return {"status": "ok", "history": []}
        case "list_subshell_request":
            return {"status": "ok", "subshell_id": []}
        case "create_subshell_request":
            # JupyterLab wants one for ipywidgets' control comm, and uses the main shell where there is none.
            return _NO_SESSION
        case "debug_request":
            return _debug_reply(content)
        case _:
            return {"status": "ok"}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _judge(code: str) -> dict[str, Any]:
    from remote_kernel.kernel.before_session.completeness import (
        judge,  # late, as the start of a kernel waits for imports
    )

    return dict(judge(code))


def _debug_reply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a `debug_reply`; only `debugInfo` can be answered before there is a session.

    Where the files of cells are is known all the same, as the agent translates it (`core.jupyter.debugger_files`).
    """
    command = request.get("command")
    reply = {"type": "response", "request_seq": request.get("seq", 0), "command": command}
    if command != "debugInfo":
        message = "The remote session was not there yet; it is now: switch the debugger on again."
        return reply | {"success": False, "message": message, "body": {}}
    from remote_kernel.core.jupyter import debugger_files

    body = {
        "isStarted": False,
        "hashMethod": debugger_files.HASH_METHOD,
        "hashSeed": debugger_files.HASH_SEED,
        "tmpFilePrefix": debugger_files.PREFIX,
        "tmpFileSuffix": debugger_files.SUFFIX,
        "breakpoints": [],
        "stoppedThreads": [],
        "richRendering": True,
        "exceptionPaths": ["Python Exceptions"],
        "copyToGlobals": True,
    }
    return reply | {"success": True, "body": body}


def execute_content(last_reply: bytes) -> dict[str, Any]:
    """Return the content of the `execute_reply` to a cell that was done here.

    It has the number of the pod's next cell: JupyterLab takes a cell without a number for one that still runs.

    Args:
        last_reply: content part of the pod's last `execute_reply`.
    """
    count = parse_reply(last_reply).get("execution_count")
    number = count + 1 if type(count) is int and 0 <= count < MAX_SEQUENCE else 1
    return {"status": "ok", "execution_count": number, "user_expressions": {}, "payload": []}


def error_content(error: RemoteKernelError, *, is_explained: bool = False) -> dict[str, Any]:
    """Return the content of an `error` message, which is also that of a reply of status "error".

    Args:
        is_explained: whether the sentences stand above it in the cell.
    """
    evalue = str(error)
    trace = f"{_RED}{_BOLD}{error.name}{_PLAIN}" + ("" if is_explained else f": {evalue}")
    return {"status": "error", "ename": error.name, "evalue": evalue, "traceback": [trace]}
