"""What the local kernel answers by itself: contents of replies, with nothing of the pod in them."""

from collections.abc import Mapping
from typing import Any

from remote_kernel import __version__
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter import PROTOCOL_VERSION, parse_object, parse_reply
from remote_kernel.core.numbers import MAX_SEQUENCE

# ipywidgets asks with this comm whether the kernel can list its widgets.
WIDGET_CONTROL_TARGET = "jupyter.widget.control"

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


def without_session(msg_type: str, content_part: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return type and content of the answer to what a front end asks a kernel that has run nothing yet.

    JupyterLab asks these things when a notebook is opened. Looking at a notebook must not take a session, so they are
    answered as a fresh kernel would; `None` for everything that needs the pod.
    """
    match msg_type:
        case "comm_info_request":
            return "comm_info_reply", {"status": "ok", "comms": {}}
        case "history_request":
            return "history_reply", {"status": "ok", "history": []}
        case "list_subshell_request":
            return "list_subshell_reply", {"status": "ok", "subshell_id": []}
        case "create_subshell_request":
            # JupyterLab wants one for ipywidgets' control comm, and uses the main shell where there is none.
            evalue = "The remote session has not started."
            return "create_subshell_reply", {"status": "error", "ename": "NoSession", "evalue": evalue, "traceback": []}
        case "delete_subshell_request":
            return "delete_subshell_reply", {"status": "ok"}
        case "debug_request":
            return "debug_reply", _debug_reply(parse_object(content_part))
        case _:
            return None


def debug_command(msg_type: str, content_part: bytes) -> str:
    """Return the command of a `debug_request`; "" for other messages."""
    return str(parse_object(content_part).get("command", "")) if msg_type == "debug_request" else ""


def _debug_reply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a `debug_reply`; only `debugInfo` can be answered before there is a session.

    Where the files of cells are, which front ends ask before they switch the debugger on, is known to the pod only; to
    let them go on with what we made up would set every breakpoint in the wrong file.
    """
    command = request.get("command")
    reply = {"type": "response", "request_seq": request.get("seq", 0), "command": command}
    if command != "debugInfo":
        message = "The remote session was not there yet; it is now: switch the debugger on again."
        return reply | {"success": False, "message": message, "body": {}}
    body = {
        "isStarted": False,
        "hashMethod": "Murmur2",
        "hashSeed": 0,
        "tmpFilePrefix": "",
        "tmpFileSuffix": ".py",
        "breakpoints": [],
        "stoppedThreads": [],
        "richRendering": True,
        "exceptionPaths": ["Python Exceptions"],
        "copyToGlobals": True,
    }
    return reply | {"success": True, "body": body}


def is_for_widgets(msg_type: str, content_part: bytes) -> bool:
    """Whether this is a comm message that a kernel without a session need not see: no comm is open, none is listed."""
    if msg_type in {"comm_msg", "comm_close"}:
        return True
    return msg_type == "comm_open" and parse_object(content_part).get("target_name") == WIDGET_CONTROL_TARGET


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
