"""States of a link, and the moves between them."""

from enum import StrEnum


class State(StrEnum):
    """State of a link.

    Attributes:
        IDLE: nobody needs the session now.
        WAITING: the next connection is due at a time that is set, which may be now.
        CONNECTING: the pod was asked for its events, and has not answered.
        ATTACHED: the pod has answered; messages go both ways.
        FAILED: there is no session to be had; whoever waited for one has been told.
        LOST: the session is gone; its user has been told, and nothing takes a new one before there is need.
    """

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    ATTACHED = "attached"
    FAILED = "failed"
    LOST = "lost"


MOVES = {
    State.IDLE: {State.WAITING},
    State.WAITING: {State.CONNECTING, State.IDLE, State.LOST},
    State.CONNECTING: {State.ATTACHED, State.WAITING, State.IDLE, State.FAILED, State.LOST},
    State.ATTACHED: {State.WAITING, State.IDLE, State.FAILED, State.LOST},
    State.FAILED: {State.WAITING, State.IDLE},
    State.LOST: {State.WAITING, State.IDLE},
}

# There is a connection, or one is being made.
OPEN = (State.CONNECTING, State.ATTACHED)
# The link is up, or tries to be.
WANTED = (*OPEN, State.WAITING)


def move(state: State, to: State) -> State:
    """Return the state `to`; raises `AssertionError` where no move leads there, which is a defect of the link's."""
    assert to in MOVES[state], f"a link moves from {state} to {to}"
    return to
