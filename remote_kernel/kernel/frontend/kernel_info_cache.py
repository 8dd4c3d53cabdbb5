"""Cache of the pod's last `kernel_info_reply`, so that `kernel_info` is answered at once."""

import contextlib
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.kernel_info import checked_kernel_info
from remote_kernel.core.limits import KERNEL_INFO
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.private_files import make_private_folder, read_json_object, write_private

_log = logging.getLogger(__name__)


class KernelInfoCache:
    """The content of the last `kernel_info_reply` from one kernelspec of one pool, as `checked_kernel_info` returns it.

    Args:
        runtime_folder: Jupyter's.
        endpoint: of the pool; that of an environment for a local one.
    """

    def __init__(self, runtime_folder: Path, *, endpoint: str, kernelspec: str) -> None:
        digest = hashlib.sha256(f"{endpoint}\n{kernelspec}".encode()).hexdigest()
        self._path = runtime_folder / "remote-kernel" / f"kernel-info-{digest[:16]}.json"
        self.content = self._load()

    def _load(self) -> dict[str, Any] | None:
        """Return what was remembered; what no front end could use is no memory, and is replaced by the next."""
        try:
            return checked_kernel_info(read_json_object(self._path, KERNEL_INFO))
        except (OSError, WireError):
            return None

    def learn(self, content: dict[str, Any]) -> None:
        """Remember what the pod's kernel says, if front ends can use it."""
        try:
            checked = checked_kernel_info(content)
        except WireError as error:
            _log.warning(LogEvent("kernel_info not used", reason=str(error)))
            return
        if checked == self.content:
            return
        self.content = checked
        with contextlib.suppress(OSError):
            make_private_folder(self._path.parent)
            write_private(self._path, json.dumps(checked))
