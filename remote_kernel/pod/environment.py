"""What a pod gets from its environment, and what its kernels get."""

from collections.abc import Mapping

COOLDOWN_VARIABLE = "REMOTE_KERNEL_POD_COOLDOWN_SECONDS"
DEFAULT_COOLDOWN_SECONDS = 300.0  # Azure's smallest


def kernel_environ(environ: Mapping[str, str], pod_name: str) -> dict[str, str]:
    """Return the environment of the kernels: ours, without our own settings, with the pod's name.

    They keep what the pool's cooldown is: an agent that is brought along runs below one of them.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("REMOTE_KERNEL_") or name == COOLDOWN_VARIABLE
    }
    # The pod's interpreters are never debugged across versions; the warning would stand in every notebook.
    return kept | {"REMOTE_KERNEL_POD": pod_name, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def cooldown_seconds(environ: Mapping[str, str]) -> float:
    """Return what the pool said."""
    try:
        return float(environ.get(COOLDOWN_VARIABLE, DEFAULT_COOLDOWN_SECONDS))
    except ValueError:
        return DEFAULT_COOLDOWN_SECONDS
