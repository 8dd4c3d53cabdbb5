"""What a workspace costs on this machine: `python -m benchmarks.workspace`.

The look at files that have not changed stands before each cell. The first synchronisation is compared with rsync, where
there is one, else with cp, neither of which has a network before it.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.contestants import WORKSPACE_FILES, fill
from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.workspace.sync import WorkspaceSync
from remote_kernel.core.identity import Identifier
from tests.driver import Pod

LOOKS = 20

# Name, number of files, bytes of each.
FIRST = (("1,000 files of 2 KB", 1_000, 2_000), ("100 MB in one file", 1, 100_000_000))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="rk-") as name:
        scratch = Path(name)
        with Pod.start(scratch / "pod") as pod:
            print(_look(scratch / "many", pod))
            for title, count, size in FIRST:
                print(_first_sync(scratch, pod, title, count, size))
    return 0


def _look(root: Path, pod: Pod) -> str:
    """Return how long it takes to see that nothing has changed."""
    fill(root, WORKSPACE_FILES, 100)
    sync = WorkspaceSync(root, "many")
    _up(sync, pod)
    sync.has_changed()  # which reads once more what had just been written when it was sent
    times = [_seconds(sync.has_changed) for _ in range(LOOKS)]
    busy = [_seconds(sync.has_changed, time.thread_time) for _ in range(LOOKS)]
    return (
        f"has_changed() on {WORKSPACE_FILES:,} unchanged files: {statistics.median(times) * 1000:.0f} ms, of them "
        f"{statistics.median(busy) * 1000:.0f} ms of processor time"
    )


def _first_sync(scratch: Path, pod: Pod, title: str, count: int, size: int) -> str:
    root, copy = scratch / f"first-{count}", scratch / f"copy-{count}"
    fill(root, count, size)
    sync = WorkspaceSync(root, root.name)
    ours = _seconds(lambda: _up(sync, pod))
    rsync = shutil.which("rsync")
    command = [rsync, "-a", f"{root}/", str(copy)] if rsync else ["cp", "-a", str(root), str(copy)]
    theirs = _seconds(lambda: subprocess.run(command, check=True))
    return f"first sync of {title}: {ours:.2f} s; {Path(command[0]).name}: {theirs:.2f} s"


def _up(sync: WorkspaceSync, pod: Pod) -> None:
    async def run() -> None:
        client = PoolClient(ConfiguredAccess(pod.endpoint, "any"), Identifier("any-session"))
        try:
            told = await sync.up(RemoteFiles(client), Progress(is_upload=True))
        finally:
            await client.aclose()
        assert not told.failures, told.failures

    asyncio.run(run())


def _seconds(task: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    task()
    return clock() - began


if __name__ == "__main__":
    sys.exit(main())
