"""The runtime file by which the kernels of an environment find the pool."""

from pathlib import Path

from remote_kernel.core.pools.local_pool import RUNTIME_FILE, RunningPool
from remote_kernel.io.local_pools import make_folder, read_pool
from remote_kernel.io.private_files import write_private


class Registration:
    """The runtime file in `folder`, as a pool sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, pool: RunningPool) -> None:
        """Make `pool` the one that kernels find. Raises `OSError` when the folder cannot be written."""
        make_folder(self._folder)
        write_private(self._folder / RUNTIME_FILE, pool.to_json())

    def remove(self, pool: RunningPool) -> None:
        """Remove the file if it still names `pool`."""
        if read_pool(self._folder) == pool:
            (self._folder / RUNTIME_FILE).unlink(missing_ok=True)

    def find_live_pool(self) -> RunningPool | None:
        """Return the pool that the file names, if it proves that it is that one."""
        pool = read_pool(self._folder)
        return pool if pool is not None and _answers(pool) else None


def _answers(pool: RunningPool) -> bool:
    import asyncio  # with what follows, time that a daemon, started because there is no pool, need not take now

    from remote_kernel.io.http1 import proves

    return asyncio.run(proves(*pool.address, pool.token))
