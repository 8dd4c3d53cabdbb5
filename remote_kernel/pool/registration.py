"""The runtime file by which the user's kernels find the pool."""

from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel.core.local_pool import RUNTIME_FILE, RUNTIME_FOLDER, RunningPool
from remote_kernel.private_files import make_private_folder, write_private


def runtime_folder() -> Path:
    """Return the folder of runtime file, lock and log."""
    return Path(jupyter_runtime_dir()) / RUNTIME_FOLDER


class Registration:
    """The runtime file in `folder`, as a pool sees it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / RUNTIME_FILE

    def write(self, pool: RunningPool) -> None:
        """Make `pool` the one that kernels find. Raises `OSError` when the folder cannot be written."""
        make_private_folder(self._file.parent)
        write_private(self._file, pool.to_json())

    def remove(self, pool: RunningPool) -> None:
        """Remove the file if it still names `pool`."""
        if self._read() == pool:
            self._file.unlink(missing_ok=True)

    def find_live_pool(self) -> RunningPool | None:
        """Return the pool that the file names, if it proves that it is that one."""
        pool = self._read()
        return pool if pool is not None and _answers(pool) else None

    def _read(self) -> RunningPool | None:
        try:
            return RunningPool.from_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _answers(pool: RunningPool) -> bool:
    import asyncio  # with what follows, time that a daemon, started because there is no pool, need not take now

    from remote_kernel.http1 import proves

    return asyncio.run(proves(*pool.address, pool.token))
