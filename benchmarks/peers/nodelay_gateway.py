"""Kernel Gateway with TCP_NODELAY on its WebSockets, which is all that is changed; run as a program.

Without it a message waits until the one before has been acknowledged, and the other side delays acknowledgements by
40 ms when it has nothing to send (Nagle's algorithm, RFC 1122, section 4.2.3.2).
"""

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from kernel_gateway import launch_instance

open_as_published = KernelWebsocketHandler.open


async def open_without_delay(self: KernelWebsocketHandler, kernel_id: str) -> None:
    self.set_nodelay(True)
    await open_as_published(self, kernel_id)


if __name__ == "__main__":
    KernelWebsocketHandler.open = open_without_delay
    launch_instance()
