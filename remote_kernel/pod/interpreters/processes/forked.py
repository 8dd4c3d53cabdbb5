"""Interpreters as copies of a fork server, where that makes no difference to what runs in them."""

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from remote_kernel.io.system.fork_server import ForkedProcess, ForkServer, NoForkServer

_COMMAND = [sys.executable, "-m", "ipykernel_launcher"]


class ForkProvisioner(LocalProvisioner):
    """Provisioner that has a process of IPython's kernel from a fork server, and any other from the system.

    Args:
        manager: of the kernel; raises `NoSuchKernel`.
        packages: folder of packages for this kernel; with any in it the process is started anew, as it may be that
            the fork server has loaded others of that name.
    """

    def __init__(self, manager: AsyncKernelManager, forks: ForkServer, packages: Path) -> None:
        super().__init__(kernel_id="", kernel_spec=manager.kernel_spec, parent=manager)
        self._forks = forks
        self._packages = packages

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; see `LocalProvisioner`."""
        process = self._fork(cmd, **kwargs) if cmd[: len(_COMMAND)] == _COMMAND and not self._has_packages() else None
        if process is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process  # type: ignore[assignment]  # a `Popen` in all that is asked of it
        self.pid = self.pgid = process.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info

    def _has_packages(self) -> bool:
        return self._packages.is_dir() and any(self._packages.iterdir())

    def _fork(self, cmd: list[str], *, cwd: str, env: dict[str, str], **_streams: Any) -> ForkedProcess | None:
        environ = {**env, "JPY_PARENT_PID": str(os.getpid())}  # as jupyter_client.launcher
        null = os.open(os.devnull, os.O_RDWR)
        try:
            return self._forks.fork(cmd[len(_COMMAND) - 1 :], cwd=cwd, environ=environ, streams=(null, null, null))
        except NoForkServer:
            return None
        finally:
            os.close(null)
