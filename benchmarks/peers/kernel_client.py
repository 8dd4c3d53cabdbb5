"""jupyter-kernel-client ("jkc"): a kernel of a Jupyter Server for a program, with the defaults of its README.

The front end sends and reads through the client's channels, as the client's own `execute` does.
"""

import contextlib
from collections.abc import Sequence
from threading import Thread

import websocket
from jupyter_kernel_client import KernelHttpManager

from benchmarks.front_end import ConnectionLost, Message
from benchmarks.peers.servers import Server

CHANNELS = ("shell", "control", "stdin", "iopub")


class KernelClientConnection:
    """A kernel in a Jupyter Server."""

    pid = None

    def __init__(self, manager: KernelHttpManager) -> None:
        self._manager = manager
        self._client = manager.client
        self._channels = {name: getattr(self._client, f"{name}_channel") for name in CHANNELS}

    @classmethod
    def start(cls, server: Server) -> "KernelClientConnection":
        """Start a kernel; raises `ConnectionLost` where the server does not."""
        manager = KernelHttpManager(server.url, server.token)
        try:
            manager.start_kernel("python3")
        except OSError as error:  # requests' errors are
            raise ConnectionLost(str(error)) from error
        manager.client.start_channels()
        return cls(manager)

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        message = self._client.session.msg(msg_type, content)
        message["buffers"] = list(buffers)
        try:
            self._channels[channel].send(message)
        except websocket.WebSocketException as error:
            raise ConnectionLost("connection lost") from error
        return str(message["header"]["msg_id"])

    def receive(self, timeout_seconds: float) -> Sequence[tuple[str, Message]]:
        # The client's own event, which its `execute` waits for; of its channels one can wait for one at a time.
        event = self._client._message_received
        while not (arrived := self._arrived()) and event.wait(timeout_seconds):
            event.clear()
        if not arrived and not self._client.channels_running:
            raise ConnectionLost("connection lost")
        return arrived

    def _arrived(self) -> list[tuple[str, Message]]:
        return [(name, message) for name, channel in self._channels.items() for message in channel.get_msgs()]

    def interrupt(self) -> None:
        """Interrupt from another thread, as a user has to whose own waits for the cell."""
        Thread(target=self._manager.interrupt_kernel).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # then it ends with the server
            self._manager.shutdown_kernel(now=True)
        # The client's own thread looks every ten seconds whether it is to end; nobody has to wait for it.
        Thread(target=self._client.stop_channels).start()
