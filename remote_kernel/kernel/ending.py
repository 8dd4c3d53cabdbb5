"""Times of a kernel's end, without I/O. All are monotonic seconds, or seconds from now on.

Who asks a kernel to shut down terminates it a moment later (jupyter_client after 2.5 s), and what was begun ends in the
middle. So each part of the end has what is left of a time for all of them, however long those before it took.
"""

from dataclasses import dataclass

from remote_kernel.kernel.session.session import FAREWELL_SECONDS

# For all of the end, where a front end has asked for it.
END_SECONDS = 2.0

# From its beginning, for what is given up, for the files of the last cells, and for a save: so that there is some left
# for giving the session back.
STOP_SECONDS = 0.3
FETCH_SECONDS = 1.0
SAVE_SECONDS = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """End of one kernel.

    Attributes:
        began_at: when it began.
        is_asked: whether a front end has asked for it, and waits; else there was a signal, or the front end is gone.
        is_restart: whether the interpreter ends and the session stays.
    """

    began_at: float
    is_asked: bool
    is_restart: bool = False

    def stopping_seconds(self, now: float) -> float:
        """Return how long to wait for what is given up."""
        return self._left(STOP_SECONDS, now)

    def fetching_seconds(self, now: float) -> float:
        """Return how long to wait for files that are on their way."""
        return self._left(FETCH_SECONDS, now)

    def saving_seconds(self, now: float) -> float:
        """Return how long a save may take; 0 where there is to be none, as with a restart: that is a wish.

        A session that stays is saved as well, as nobody keeps it warm any more; nothing has to follow the save then.
        """
        if self.is_restart:
            return 0.0
        return self._left(SAVE_SECONDS if self.is_asked else END_SECONDS, now)

    def farewell_seconds(self, now: float) -> float:
        """Return how long to wait until the session has heard of it."""
        return min(FAREWELL_SECONDS, self._left(END_SECONDS, now))

    def _left(self, seconds: float, now: float) -> float:
        return max(0.0, self.began_at + seconds - now)
