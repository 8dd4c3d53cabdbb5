"""Plan of a synchronisation: the three-way comparison that decides about each file.

*Base* is what this side and the pod have agreed on last. Each side is compared with it by itself, and a table has the
decision for each pair. Two rules are above all others: what is here stays, and nothing is given up on one side that
nobody on that side has given up.
"""

from enum import Enum, auto


class Change(Enum):
    """Change of a file on one side since the base."""

    NEVER = auto()  # it is in neither
    SAME = auto()
    CHANGED = auto()  # or it is new
    GONE = auto()


class Action(Enum):
    """Action for one file."""

    NOTHING = auto()
    SEND = auto()
    REMOVE_THERE = auto()
    FETCH = auto()
    FETCH_AGAIN = auto()  # it was removed here and changed there: fetched, and told
    KEEP_BOTH = auto()  # the session's goes beside the one that is here, which is sent, unless the two are alike
    KEEP_HERE = auto()  # it was removed there: it stays here, and is not sent before it changes
    FORGET = auto()  # it is on neither side any more


_TABLE = {
    (Change.NEVER, Change.NEVER): Action.NOTHING,
    (Change.NEVER, Change.CHANGED): Action.FETCH,
    (Change.SAME, Change.SAME): Action.NOTHING,
    (Change.SAME, Change.CHANGED): Action.FETCH,
    (Change.SAME, Change.GONE): Action.KEEP_HERE,
    (Change.CHANGED, Change.NEVER): Action.SEND,
    (Change.CHANGED, Change.SAME): Action.SEND,
    (Change.CHANGED, Change.CHANGED): Action.KEEP_BOTH,
    (Change.CHANGED, Change.GONE): Action.SEND,
    (Change.GONE, Change.SAME): Action.REMOVE_THERE,
    (Change.GONE, Change.CHANGED): Action.FETCH_AGAIN,
    (Change.GONE, Change.GONE): Action.FORGET,
}


def decide(here: Change, there: Change) -> Action:
    """Return what is to be done about a file; raises `KeyError` for what cannot be.

    That is a file which is in the base for one side and not for the other.
    """
    return _TABLE[here, there]
