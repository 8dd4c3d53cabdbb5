"""The limit of open files, on Linux and macOS."""

import contextlib
import resource

# What a server of ours has open at most where the system allows more: enough for hundreds of sessions.
MAX_FILES = 8 * 1024


def allow_many_files() -> int:
    """Raise this process's own limit of open files as far as the system lets it; many begin with 1,024.

    Returns:
        The limit as it is then.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft
