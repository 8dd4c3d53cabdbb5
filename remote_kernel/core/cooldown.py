"""How long a pool keeps a pod that nobody calls."""

# How the local pool tells its pods, and one that is made with deploy/main.bicep; Azure itself does not.
COOLDOWN_VARIABLE = "REMOTE_KERNEL_POD_COOLDOWN_SECONDS"
DEFAULT_COOLDOWN_SECONDS = 300.0  # the shortest that Azure allows


def parse_cooldown(text: str) -> float:
    """Return the seconds that a pool has told, or the default where it has told none."""
    try:
        return float(text)
    except ValueError:
        return DEFAULT_COOLDOWN_SECONDS
