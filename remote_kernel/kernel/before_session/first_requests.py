"""Table of what becomes of each request that comes before there is a session.

Looking at a notebook takes no session. So what front ends ask by themselves is answered as a kernel would that has run
nothing, and only what a person or a program wants done takes one.

Source: "Messaging in Jupyter"; `usage_request` is ipykernel's.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from remote_kernel.kernel.requests.request import Request


class Treatment(StrEnum):
    """Treatment of a request as long as there is no session, and none on its way.

    ANSWERED: here, at once.
    IGNORED: a kernel that has run nothing has nothing to say to it.
    HELD: until something else brings a session, of which it goes ahead.
    TAKES_SESSION: nothing else will do.
    """

    ANSWERED = "answered"
    IGNORED = "ignored"
    HELD = "held"
    TAKES_SESSION = "takes a session"


# What depends on more than the type is below, in `treatment_of`.
TREATMENTS: Mapping[str, Treatment] = {
    # shell
    "execute_request": Treatment.TAKES_SESSION,
    "inspect_request": Treatment.ANSWERED,
    "complete_request": Treatment.ANSWERED,
    "history_request": Treatment.ANSWERED,
    "is_complete_request": Treatment.ANSWERED,
    "connect_request": Treatment.ANSWERED,
    "comm_info_request": Treatment.ANSWERED,
    "kernel_info_request": Treatment.ANSWERED,
    "comm_open": Treatment.ANSWERED,
    "comm_msg": Treatment.IGNORED,
    "comm_close": Treatment.IGNORED,
    # control
    "interrupt_request": Treatment.ANSWERED,
    "shutdown_request": Treatment.ANSWERED,
    "debug_request": Treatment.ANSWERED,
    "create_subshell_request": Treatment.ANSWERED,
    "delete_subshell_request": Treatment.ANSWERED,
    "list_subshell_request": Treatment.ANSWERED,
    "usage_request": Treatment.ANSWERED,
    # stdin
    "input_reply": Treatment.IGNORED,
}

# The debugger has to be switched on in an interpreter.
_DEBUGGER_STARTS = frozenset({"initialize", "attach"})


def treatment_of(request: Request) -> Treatment:
    """Return what to do; a type that is not in the protocol may mean something to the kernel in the pod, and waits."""
    if request.is_execute:
        return _treatment_of_code(request.content)
    if debug_command(request) in _DEBUGGER_STARTS:
        return Treatment.TAKES_SESSION
    return TREATMENTS.get(request.info.msg_type, Treatment.HELD)


def _treatment_of_code(content: Mapping[str, Any]) -> Treatment:
    """Nobody sees what silent code does: front ends prepare something with it, or only look whether anybody is there.

    Values that it is to give are another matter.
    """
    if content.get("silent") is not True:
        return Treatment.TAKES_SESSION
    if not str(content.get("code", "")).strip():
        return Treatment.ANSWERED
    return Treatment.TAKES_SESSION if content.get("user_expressions") else Treatment.HELD


def debug_command(request: Request) -> str:
    """Return the command of a `debug_request`; "" for other messages."""
    return str(request.content.get("command", "")) if request.info.msg_type == "debug_request" else ""
