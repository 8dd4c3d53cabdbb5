"""Keep-alive of a pod: how long it is wanted, and when the next call is due."""

from remote_kernel.client.clock import Clock
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS


class KeepAlive:
    """Keep-alive of one pod against the pool's cooldown.

    Args:
        keepalive_seconds: how long after the last use the pod is kept.

    Attributes:
        is_busy: set by the owner of the link while the session runs something for it.
        keep_until: set by the owner of the link: until when the pod is kept at least (seconds since 1970).
        cooldown_seconds: how long the pool keeps the pod without a call.
        called_at: when the last call was made (seconds, monotonic).
    """

    def __init__(self, keepalive_seconds: float, clock: Clock) -> None:
        self.is_busy = False
        self.keep_until = 0.0
        self.cooldown_seconds = DEFAULT_COOLDOWN_SECONDS  # until the pod has told its own
        self.called_at = 0.0
        self._keepalive_seconds = keepalive_seconds
        self._clock = clock
        self._used_at = clock.monotonic()
        self._called_at_wall = clock.wall()

    @property
    def is_wanted(self) -> bool:
        """Return whether the pod is to be kept."""
        return self.is_busy or self.seconds() > 0

    @property
    def has_cooled_down(self) -> bool:
        """Return whether the pool has taken the pod by now, unless others use it; not known before the first call.

        Monotonic time stands still while a laptop sleeps, and the other one may be set back.
        """
        since = max(self._clock.monotonic() - self.called_at, self._clock.wall() - self._called_at_wall)
        return self.called_at > 0 and since > self.cooldown_seconds

    @property
    def interval_seconds(self) -> float:
        """Return how often to call: two calls may be late or get lost."""
        return self.cooldown_seconds / 3

    def note_use(self) -> None:
        """Note that the user has sent something, or that the kernel in the pod has said something to the user."""
        self._used_at = self._clock.monotonic()

    def note_call(self) -> None:
        """Note that a request is on its way, which the pool takes for use."""
        self.called_at, self._called_at_wall = self._clock.monotonic(), self._clock.wall()

    def seconds(self) -> float:
        """Return for how long the pod is kept if nothing more is sent."""
        after_use = self._used_at + self._keepalive_seconds - self._clock.monotonic()
        return max(after_use, self.keep_until - self._clock.wall(), 0.0)

    def seconds_to_call(self) -> float:
        """Return in how many seconds the next call is due; none or less when it is due now."""
        return self.called_at + self.interval_seconds - self._clock.monotonic()
