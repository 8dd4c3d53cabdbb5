"""Replies to cells that wait for their cell's idle, ahead of which all comes that the cell has published."""

import asyncio
from collections.abc import Callable

# A kernel says "idle" within a millisecond of a reply, behind what the cell has published, which may take long to come.
# One that never says it is waited for until nothing has come in so many looks in a row. One look shows nothing: it is
# due at once where the agent itself had no processor time, and before anything is read.
LOOK_SECONDS = 0.5
QUIET_LOOKS = 4

# A kernel that never says it, and is never quiet, is waited for no longer than this.
MOST_LOOKS = 60

Parts = tuple[bytes, ...]


class HeldReplies:
    """Replies that have overtaken what their cells have published: the two come through different sockets.

    Args:
        take: takes a reply whose time has come, and whether its cell's idle follows.
        heard: tells how much the kernel has said.
        is_stopped: tells whether it is held, and can say nothing.
    """

    def __init__(
        self, take: Callable[[Parts, bool], None], *, heard: Callable[[], int], is_stopped: Callable[[], bool]
    ) -> None:
        self._take = take
        self._heard = heard
        self._is_stopped = is_stopped
        self._held: dict[str, Parts] = {}
        self._timer: asyncio.TimerHandle | None = None  # outlives what is released, or each cell would need one
        self._last_heard = self._quiet_looks = self._looks = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, msg_id: str, reply: Parts) -> None:
        """Hold the reply to the cell of this message id, which may be that of another whose reply is held."""
        self._release(msg_id, is_followed=False)
        if not self._held:
            self._looks = 0
        self._held[msg_id] = reply
        self._last_heard = -1
        if self._timer is None:
            self._look_later()

    def note_idle(self, msg_id: str) -> bool:
        """Hand on the reply to this cell, if it is held, ahead of the cell's idle; return whether it was."""
        return self._release(msg_id, is_followed=True)

    def _release(self, msg_id: str, *, is_followed: bool) -> bool:
        reply = self._held.pop(msg_id, None)
        if reply is not None:
            self._take(reply, is_followed)
        return reply is not None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._held:
            return
        is_stopped, heard = self._is_stopped(), self._heard()
        is_quiet = heard == self._last_heard and not is_stopped
        self._quiet_looks = self._quiet_looks + 1 if is_quiet else 0
        self._looks += not is_stopped
        self._last_heard = heard
        if self._quiet_looks == QUIET_LOOKS or self._looks == MOST_LOOKS:
            self.release_all()
        else:
            self._look_later()

    def release_all(self) -> None:
        """Hand on all of them: what the cells have published is known to have come, or is lost."""
        for msg_id in list(self._held):
            self._release(msg_id, is_followed=False)

    def clear(self) -> None:
        """Forget them, as nobody waits for them any more."""
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
