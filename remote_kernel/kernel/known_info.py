"""What the pod's kernel said of itself the last time, so that `kernel_info` can be answered at once."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from remote_kernel.private_files import make_private_folder, write_private


class KnownInfo:
    """The content of the last `kernel_info_reply` from one kernelspec of one pool.

    Args:
        runtime_folder: Jupyter's.
        endpoint: of the pool; that of an environment for a local one.
    """

    def __init__(self, runtime_folder: Path, *, endpoint: str, kernelspec: str) -> None:
        digest = hashlib.sha256(f"{endpoint}\n{kernelspec}".encode()).hexdigest()
        self._path = runtime_folder / "remote-kernel" / f"kernel-info-{digest[:16]}.json"
        self.content = self._load()

    def _load(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and "language_info" in content else None

    def learn(self, content: dict[str, Any]) -> None:
        """Remember what the pod's kernel says."""
        if not content or content == self.content:
            return
        self.content = content
        with contextlib.suppress(OSError):
            make_private_folder(self._path.parent)
            write_private(self._path, json.dumps(content))
