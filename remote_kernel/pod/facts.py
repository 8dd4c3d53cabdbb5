"""Description of a pod by itself: memory, processors, Python, packages."""

import contextlib
import os
import re
import sys
from pathlib import Path

from remote_kernel.core.pools.pod_facts import PodFacts

# Where the kernel of a container says how much memory it may use: version 2 of cgroups, then version 1.
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

_PACKAGE = re.compile(r"(?P<name>[\w.]+)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def memory_of(pid: int | None) -> int:
    """Return the bytes of memory that a process and its children use; 0 where Linux does not tell."""
    waiting = [] if pid is None else [pid]
    pages = 0
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        with contextlib.suppress(OSError):  # it has ended meanwhile
            pages += int((process / "statm").read_text().split()[1])
            for children in (process / "task").glob("*/children"):
                waiting += map(int, children.read_text().split())
    return pages * os.sysconf("SC_PAGE_SIZE")


def total_memory() -> int:
    """Return how much memory there is: the container's limit, else the machine's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            return min(int(Path(path).read_text(encoding="ascii")), machine)
    return machine


def cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def packages() -> dict[str, str]:
    """Return the installed packages by name, as their folders are called: to read hundreds of files takes long."""
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            names = (path.name for path in Path(folder).iterdir())
            for match in filter(None, map(_PACKAGE.fullmatch, names)):
                found.setdefault(match["name"].replace("_", "-").lower(), match["version"])
    return dict(sorted(found.items()))


def describe(pod: str, *, kernels: int, age_seconds: float, pid: int | None) -> PodFacts:
    """Return the facts with those of the kernel whose process is `pid`; takes a moment."""
    return PodFacts(
        pod=pod,
        kernels=kernels,
        age_seconds=age_seconds,
        memory_bytes=memory_of(pid),
        total_memory_bytes=total_memory(),
        cpus=cpus(),
        packages=packages(),
    )
