"""A kernel's process on this machine, and ZeroMQ to it: as Jupyter Server, nbclient and all the others have it."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from benchmarks.front_end import Message
from tests.driver import kernel_manager

CHANNELS = ("shell", "control", "stdin", "iopub")


class LocalKernel:
    """jupyter_client's sockets and sessions, all channels watched at once."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._session = client.session
        self._client = client
        self._poller = zmq.Poller()
        self._names: dict[Any, str] = {}
        for name in CHANNELS:
            socket = getattr(client, f"{name}_channel").socket
            self._names[socket] = name
            self._poller.register(socket, zmq.POLLIN)

    @classmethod
    def start(
        cls, kernel_name: str, environ: Mapping[str, str], folder: Path | None = None, **options: Any
    ) -> "LocalKernel":
        """Start the kernel's process, in a folder or in the current one; it may not answer yet.

        Args:
            options: of the kernel's manager.
        """
        manager = kernel_manager(kernel_name, **options)
        manager.start_kernel(env={**os.environ, **environ}, stderr=subprocess.DEVNULL, cwd=folder)
        client = manager.blocking_client()
        client.context.rcvhwm = 0  # what a front end drops itself is no kernel's loss
        client.start_channels()
        return cls(manager, client)

    @property
    def pid(self) -> int | None:
        provisioner = self._manager.provisioner
        assert isinstance(provisioner, LocalProvisioner)
        return provisioner.pid

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        message = self._session.msg(msg_type, content)
        socket = getattr(self._client, f"{channel}_channel").socket
        self._session.send(socket, message, buffers=list(buffers))
        return str(message["header"]["msg_id"])

    def receive(self, timeout_seconds: float) -> Sequence[tuple[str, Message]]:
        return list(self._poll(timeout_seconds))

    def _poll(self, timeout_seconds: float) -> Iterator[tuple[str, Message]]:
        for socket, _ in self._poller.poll(int(timeout_seconds * 1000)):
            _, message = self._session.recv(socket, zmq.NOBLOCK)
            if message is not None:
                yield self._names[socket], message

    def interrupt(self) -> None:
        """Interrupt in the way that the kernelspec asks for."""
        if self._manager.kernel_spec is not None and self._manager.kernel_spec.interrupt_mode == "message":
            self.send("control", "interrupt_request", {})
        else:
            self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel()
        self._manager.context.destroy(linger=0)
