"""Decision when to save without being asked, without I/O. Times are monotonic seconds.

A save is due when the notebook has been idle for a while and a cell has run since the last one, so that nothing is ever
saved while a cell runs. One that took long is followed by a long rest, which only the end of the keep-alive cuts short:
by then the pool may take the pod.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Pace of autosaves.

    Attributes:
        idle_seconds: how long nothing runs before one begins.
        rest_seconds: at least so long from the end of one to the next.
        rest_factor: as well, so many times as long as it took, so that they take a small part of the time and the line.
        margin_seconds, margin_factor: so long before the end of the keep-alive the last one begins, and so many times
            as long as the one before took.
        retry_seconds, max_retry_seconds: how long until one that has failed is tried again, at first and at most.
    """

    idle_seconds: float = 15.0
    rest_seconds: float = 60.0
    rest_factor: float = 10.0
    margin_seconds: float = 60.0
    margin_factor: float = 3.0
    retry_seconds: float = 120.0
    max_retry_seconds: float = 3600.0


class Autosave:
    """Autosave of one session, as a state.

    Attributes:
        is_on: whether it is wanted.
        has_changed: whether a cell has run since what was saved last; none is known to have, at first.
        is_saving: whether a save is under way.
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self.is_on = False
        self.has_changed = False
        self.is_saving = False
        self._pace = pace or Pace()
        self._is_busy = False
        self._is_held_up = False
        self._had_changed = False
        self._idle_since = 0.0
        self._began_at = 0.0
        self._took_seconds = 0.0
        self._rests_until = float("-inf")
        self._retries_at = float("-inf")
        self._failures = 0

    # What happens

    def note_busy(self, is_busy: bool, now: float) -> None:
        """Note whether the session runs something."""
        if is_busy == self._is_busy:
            return
        self._is_busy = is_busy
        if is_busy:
            self.has_changed = True
        else:
            self._idle_since = now

    def note_gone(self) -> None:
        """Note that the session is gone: there is nothing to save, nor will be if a save that is under way fails."""
        self.has_changed = self._had_changed = False

    def note_cell(self, now: float) -> None:
        """Note that a cell has run before this was there to be told of it."""
        self.has_changed, self._idle_since = True, now

    def begin(self, now: float) -> None:
        """Note that a save has begun, on order or by itself."""
        self.is_saving, self._is_held_up = True, True
        self._had_changed, self.has_changed = self.has_changed, False
        self._began_at = now

    def note_snapshot(self) -> None:
        """Note that the save works on a snapshot from now on, so that cells may run meanwhile."""
        self._is_held_up = False

    def saved(self, now: float) -> None:
        """Note that the save is whole."""
        self.is_saving = False
        self._failures = 0
        self._took_seconds = now - self._began_at
        self._rests_until = now + max(self._pace.rest_seconds, self._pace.rest_factor * self._took_seconds)

    def failed(self, now: float) -> None:
        """Note that the save came to nothing."""
        self.dropped()
        wait = min(self._pace.retry_seconds * 2.0 ** min(self._failures, 16), self._pace.max_retry_seconds)
        self._failures += 1
        self._retries_at = now + wait

    def dropped(self) -> None:
        """Note that the save was given up for something more urgent."""
        self.is_saving = False
        self.has_changed |= self._had_changed

    # What is to be done

    @property
    def must_drop(self) -> bool:
        """Return whether a cell waits for the save that is under way, which is to be given up for it."""
        return self.is_saving and self._is_busy and self._is_held_up

    @property
    def is_due_before_end(self) -> bool:
        """Return whether the state that is about to go is to be saved first."""
        return self.is_on and (self.has_changed or self.is_saving) and not self._is_busy

    def due_at(self, kept_until: float) -> float | None:
        """Return when to save if nothing happens before; `None` for never.

        Args:
            kept_until: when the keep-alive of the session ends.
        """
        if not self.is_due_before_end or self.is_saving:
            return None
        margin = max(self._pace.margin_seconds, self._pace.margin_factor * self._took_seconds)
        rested_at = min(self._rests_until, kept_until - margin)
        return max(self._idle_since + self._pace.idle_seconds, rested_at, self._retries_at)
