"""Launching of interpreters by a kernel's launch options: as a process is started, and by code that it runs first.

Whatever IPython can be told is told to it, so that an interpreter that is ready already will do. What counts only as a
process starts, and everything for other kernels, takes a process. An IPython kernel has no `PYTHONPATH` of ours: a
module of the user's would be in the way of those that the kernel itself needs as it starts.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote_kernel.core.wire.launch import Launch
from remote_kernel.pod.files.data_folder import DataFolder, parse_path
from remote_kernel.pod.interpreters import set_up
from remote_kernel.pod.interpreters.programs import call_main

SESSION_VARIABLE = "JPY_SESSION_NAME"

# Read as the process starts, by Python itself, the linker, the C library, and libraries that count processors.
_AT_START = (
    "PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "LC_", "LANG", "TZ",
    "TMPDIR", "IPYTHON",
)  # fmt: skip

# What a reply's payload of ours is called.
_SOURCE = "remote_kernel_startup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launching:
    """Launch options in one pod, with the paths that they mean there.

    Attributes:
        cwd: current folder.
        workspace: folder that modules are imported from as well; `None` for none.
        session: `JPY_SESSION_NAME`; "" for none.
    """

    launch: Launch
    cwd: Path
    workspace: Path | None = None
    session: str = ""

    @classmethod
    def of(cls, launch: Launch, data: DataFolder) -> "Launching":
        """Find the paths; raises `InvalidPath` for one that leads out of the data folder."""
        return cls(
            launch=launch,
            cwd=data.resolve(launch.cwd) if launch.cwd else data.root,
            workspace=data.resolve(launch.workspace) if launch.workspace else None,
            session=str(data.root / parse_path(launch.notebook)) if launch.notebook else "",
        )

    @property
    def is_plain(self) -> bool:
        """Return whether there is nothing to do but to start the kernel."""
        return self.launch == Launch()

    def can_be_told(self, *, is_ipython: bool) -> bool:
        """Return whether an interpreter that is ready can be told it.

        Another than IPython misses the name of the notebook then, which is no reason to wait.
        """
        if is_ipython:
            return not any(name.startswith(_AT_START) for name in self.launch.environ)
        return not (self.launch.environ or self.launch.cwd or self.launch.workspace)

    async def make_folder(self) -> None:
        """Make the current folder where it is missing; raises `OSError`."""
        if self.launch.cwd:
            await asyncio.to_thread(self.cwd.mkdir, parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """Return its variables on top of the pod's."""
        return {**self.launch.environ, **({SESSION_VARIABLE: self.session} if self.session else {})}

    def process_environ(self, base: Mapping[str, str], *, is_ipython: bool) -> dict[str, str]:
        workspace = str(self.workspace) if self.workspace is not None and not is_ipython else ""
        paths = self.launch.environ.get("PYTHONPATH", ""), base.get("PYTHONPATH", ""), workspace
        path = {"PYTHONPATH": os.pathsep.join(filter(None, paths))} if any(paths) else {}
        return {**base, **self.environ, **path}

    def program(self, *, is_ipython: bool) -> str:
        """Return code that a kernel is to run first; "" for none."""
        if not is_ipython or self.is_plain:
            return self.launch.startup
        argument = {
            "environ": {name: value for name, value in self.environ.items() if not name.startswith(_AT_START)},
            "cwd": str(self.cwd) if self.launch.cwd else "",
            "path": str(self.workspace or ""),
            "session": self.session,
            "startup": self.launch.startup,
            "startup_name": self.launch.startup_name or "startup",
            "source": _SOURCE,
        }
        return call_main(set_up, argument)


def describe_failure(reply: Mapping[str, Any]) -> str:
    """Return what a startup file has failed of, from the reply to the code that has run it; "" for nothing."""
    payload = reply.get("payload")
    for each in payload if isinstance(payload, list) else []:
        if isinstance(each, dict) and each.get("source") == _SOURCE:
            return f"{each.get('error')}, line {each.get('line')}"
    return str(reply.get("ename", "an error")) if reply.get("status") == "error" else ""
