"""Cooldown of a pool: how long it keeps a pod that nobody calls."""

from remote_kernel.core.errors import WireError
from remote_kernel.core.numbers import COOLDOWN

# How the local pool tells its pods, and one that is made with deploy/main.bicep; Azure itself does not.
COOLDOWN_VARIABLE = "REMOTE_KERNEL_POD_COOLDOWN_SECONDS"
DEFAULT_COOLDOWN_SECONDS = 300.0  # the shortest that Azure allows


def parse_cooldown(text: str) -> float:
    """Return the seconds that a pool has told, as many as may be, or the default where it has told none."""
    try:
        return float(COOLDOWN.check(float(text), "a cooldown"))
    except (ValueError, WireError):
        return DEFAULT_COOLDOWN_SECONDS
