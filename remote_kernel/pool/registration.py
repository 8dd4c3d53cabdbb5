"""The runtime file by which the user's kernels find the pool."""

from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel.core.local_pool import RUNTIME_FILE, RUNTIME_FOLDER, STATUS_PATH, RunningPool
from remote_kernel.private_files import make_private_folder, write_private

# A pool on this machine answers at once, unless the machine is very busy.
PROBE_TIMEOUT_SECONDS = 5.0


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
        """Return the pool that the file names, if it answers."""
        pool = self._read()
        return pool if pool is not None and _answers(pool) else None

    def _read(self) -> RunningPool | None:
        try:
            return RunningPool.from_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _answers(pool: RunningPool) -> bool:
    import httpx  # which a daemon, started because there is no pool, never needs

    try:
        # No certificates, which take long to load, for plain HTTP; no proxy, which has no way to this loopback.
        transport = httpx.HTTPTransport(verify=False, trust_env=False)
        with httpx.Client(transport=transport, timeout=PROBE_TIMEOUT_SECONDS) as client:
            answer = client.get(pool.endpoint + STATUS_PATH, headers={"authorization": f"Bearer {pool.token}"})
    except httpx.HTTPError:
        return False
    return answer.status_code == 200
