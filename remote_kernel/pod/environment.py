"""Environment of a pod, and of its kernels."""

from collections.abc import Mapping

from remote_kernel.core.pools.cooldown import COOLDOWN_VARIABLE, parse_cooldown

# The pod's interpreters are never debugged across versions; the warning would stand in every notebook.
OF_INTERPRETERS = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def kernel_environ(environ: Mapping[str, str], pod_name: str) -> dict[str, str]:
    """Return the environment of the kernels: ours, without our own settings, with the pod's name.

    They keep what the pool's cooldown is: an agent that is brought along runs below one of them.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("REMOTE_KERNEL_") or name == COOLDOWN_VARIABLE
    }
    return kept | {"REMOTE_KERNEL_POD": pod_name} | OF_INTERPRETERS


def cooldown_seconds(environ: Mapping[str, str]) -> float:
    """Return what the pool said."""
    return parse_cooldown(environ.get(COOLDOWN_VARIABLE, ""))
