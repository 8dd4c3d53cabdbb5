"""Kind of a pool's pods, remembered for later kernels."""

import contextlib
import hashlib
import time
from enum import StrEnum
from pathlib import Path

from remote_kernel.core.pools.flavor import has_interpreter_address
from remote_kernel.io.private_files import make_private_folder, write_private

# Pods that had no agent may have one by now, and understand executions as before.
INTERPRETER_SECONDS = 86_400.0


class PoolKind(StrEnum):
    """Kind of a pool's pods."""

    AGENT = "agent"
    INTERPRETER = "interpreter"


class PoolKindStore:
    """Store of the kind that a pool had the last time, so that the next kernel need not try.

    Args:
        runtime_folder: Jupyter's.
        endpoint: of the pool; "" for the local one.
    """

    def __init__(self, runtime_folder: Path, endpoint: str) -> None:
        digest = hashlib.sha256(endpoint.encode()).hexdigest()
        # The local pool is whatever it was started as, and asking it costs nothing.
        self._path = runtime_folder / "remote-kernel" / f"pool-kind-{digest[:16]}" if endpoint else None
        self.kind = self._load() or (PoolKind.INTERPRETER if has_interpreter_address(endpoint) else PoolKind.AGENT)

    def _load(self) -> PoolKind | None:
        if self._path is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            kind = PoolKind(self._path.read_text(encoding="utf-8"))
            age = time.time() - self._path.stat().st_mtime
            return kind if kind is PoolKind.AGENT or age < INTERPRETER_SECONDS else None
        return None

    def learn(self, kind: PoolKind) -> None:
        if kind is self.kind:
            return
        self.kind = kind
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            make_private_folder(self._path.parent)
            write_private(self._path, kind)
