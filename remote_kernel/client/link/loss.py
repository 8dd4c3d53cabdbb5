"""Explanations of a lost session."""

import time

from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire import frames as wire

_AGAIN = "Run the notebook again from the top; the next cell starts in a new"


def pod_gone(heard_at: float) -> SessionLost:
    """Return the error for a session that is not there any more.

    Args:
        heard_at: when it was last heard of, in seconds since 1970; 0 where it never was.
    """
    when = f" (it was last heard of at {_time_of_day(heard_at)})" if heard_at else ""
    return SessionLost(
        f"The remote session is gone{when}: its pod was given back after a pause, was replaced, or ended with its pool."
        f" Variables, imports and files of the session are lost. {_AGAIN} session."
    )


def interpreter_gone(change: wire.EpochChange, now: float) -> SessionLost:
    """Return the error for a session whose interpreter was found to be replaced at `now`, in the same pod."""
    what = {
        "died": f"its interpreter ended with {change.detail}",
        "shutdown": "another client shut it down",
    }.get(change.reason, "another client restarted it")
    return SessionLost(
        f"The remote session has lost its state at {_time_of_day(now)}: {what}. Variables and imports are gone, "
        f"files are still there. {_AGAIN} interpreter."
    )


def _time_of_day(seconds: float) -> str:
    return time.strftime("%X", time.localtime(seconds))
