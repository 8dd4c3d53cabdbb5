"""The local kernel of a run: started for it, told which notebook it works for, gone with it."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient

from remote_kernel.cli.install.kernelspecs import is_ours
from remote_kernel.cli.run.patient_client import PatientClient
from remote_kernel.kernel.requests.request import SHOWS_WAITING

# A traceback's worth.
LOG_BYTES = 4_000

# A Unix socket's path has room for about 100 bytes, and two dozen of them go to what stands below this folder.
MAX_FOLDER_LENGTH = 70

# Our kernel gives its session back within 1.5 s, or has written down by then that it is to be given back.
URGENT_SECONDS = 2.0


class KernelDied(Exception):
    """The kernel ended by itself; `log` is the end of what it wrote to standard error."""

    def __init__(self, log: str) -> None:
        super().__init__("the kernel died")
        self.log = log


class KernelProcess:
    """A kernel process and the nbclient that talks to it.

    Args:
        environ: of this process, which the kernel's goes on.

    Attributes:
        is_urgent: set it to have the kernel killed when it does not end within a moment.
    """

    def __init__(self, client: NotebookClient, environ: Mapping[str, str]) -> None:
        self.is_urgent = False
        self._client = client
        self._environ = environ
        self._manager = client.create_kernel_manager()
        self._manager.client_factory = PatientClient
        # ZeroMQ drops what passes its limit of 1,000 waiting messages, which a slow terminal makes easy.
        self._manager.context.rcvhwm = 0
        self._folder = tempfile.mkdtemp(prefix="rk-run-")
        has_room = sys.platform != "win32" and len(os.fsencode(self._folder)) <= MAX_FOLDER_LENGTH
        if has_room and _takes_unix_sockets(self._manager.kernel_spec):
            self._use_unix_sockets()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop()

    def _use_unix_sockets(self) -> None:
        """Have the kernel listen on Unix sockets.

        A port that was chosen for it may be another program's for a moment more. A subscriber that connects to the
        wrong kind of socket is given up by ZeroMQ, and never hears anything (`session_base_t::engine_error` in libzmq
        4.3).
        """
        self._manager.transport = "ipc"
        self._manager.connection_file = f"{self._folder}/{secrets.token_hex(4)}.json"

    async def start(self, notebook: Path) -> None:
        """Start the kernel in the notebook's folder and wait until it answers; `notebook` is an absolute path.

        Raises:
            KernelDied: it ended before it was ready, or was not ready in a minute.
        """
        try:
            await self._client.async_start_new_kernel(
                cwd=str(notebook.parent),
                env={
                    **self._environ,
                    "REMOTE_KERNEL_NOTEBOOK": str(notebook),
                    # The notebook may be open in an editor: its variables there are not ours to change.
                    "REMOTE_KERNEL_FRESH": "1",
                    # Sets and hashes come out alike in each run, so that outputs can be compared.
                    "REMOTE_KERNEL_HASH_SEED": self._environ.get("REMOTE_KERNEL_HASH_SEED") or "0",
                },
                stdout=subprocess.DEVNULL,
                stderr=self._log,
            )
            await self._client.async_start_new_kernel_client()
            assert self._client.kc is not None
            self._client.kc.session.metadata = {SHOWS_WAITING: True}
        except RuntimeError:
            raise KernelDied(self.read_log()) from None

    async def interrupt(self) -> None:
        """Ask the running cell to end; the kernel may be gone already."""
        if self._manager.has_kernel:
            await ensure_async(self._manager.interrupt_kernel())

    async def stop(self) -> None:
        """Shut the kernel down and free what it held here; when cancelled, hurry."""
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        try:
            await self._end(URGENT_SECONDS if self.is_urgent else self._manager.shutdown_wait_time)
        except asyncio.CancelledError:
            await self._end(0 if self.is_urgent else URGENT_SECONDS)
            raise
        finally:
            self._log.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _end(self, patience_seconds: float) -> None:
        """Ask the kernel to shut down, which gives its session back, and kill it when that takes longer."""
        if await ensure_async(self._manager.is_alive()):
            self._manager.shutdown_wait_time = patience_seconds
            await ensure_async(self._manager.shutdown_kernel())
        else:
            await ensure_async(self._manager.cleanup_resources())

    def read_log(self) -> str:
        """Return the end of what the kernel process wrote to its standard error."""
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - LOG_BYTES))
        return self._log.read().decode(errors="replace").strip()


def _takes_unix_sockets(spec: KernelSpec | None) -> bool:
    """Return whether a kernel can listen on Unix sockets; others than ours and IPython's promise TCP alone."""
    return spec is not None and (is_ours(spec) or "ipykernel_launcher" in spec.argv)
