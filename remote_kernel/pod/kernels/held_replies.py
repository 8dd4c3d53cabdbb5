"""Replies to cells that wait for their cell's idle, ahead of which all comes that the cell has published."""

import asyncio
from collections.abc import Callable
from functools import partial

# A kernel says "idle" within a millisecond of a reply; one that never does is not waited for.
MOST_SECONDS = 0.25

Parts = tuple[bytes, ...]


class HeldReplies:
    """Replies that have overtaken what their cells have published: the two come through different sockets.

    Args:
        take: takes a reply whose time has come, and whether its cell's idle follows.
    """

    def __init__(self, take: Callable[[Parts, bool], None]) -> None:
        self._take = take
        self._held: dict[str, tuple[Parts, asyncio.TimerHandle]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, msg_id: str, reply: Parts) -> None:
        """Hold the reply to the cell of this message id, which may be that of another whose reply is held."""
        self._release(msg_id, is_followed=False)
        timer = asyncio.get_running_loop().call_later(MOST_SECONDS, partial(self._release, msg_id, is_followed=False))
        self._held[msg_id] = (reply, timer)

    def note_idle(self, msg_id: str) -> bool:
        """Hand on the reply to this cell, if it is held, ahead of the cell's idle; return whether it was."""
        return self._release(msg_id, is_followed=True)

    def _release(self, msg_id: str, *, is_followed: bool) -> bool:
        if msg_id not in self._held:
            return False
        reply, timer = self._held.pop(msg_id)
        timer.cancel()
        self._take(reply, is_followed)
        return True

    def release_all(self) -> None:
        """Hand on all of them: what the cells have published is known to have come, or is lost."""
        for msg_id in list(self._held):
            self._release(msg_id, is_followed=False)

    def clear(self) -> None:
        """Forget them, as nobody waits for them any more."""
        for _, timer in self._held.values():
            timer.cancel()
        self._held.clear()
