"""Who is measured beside ipykernel and this kernel."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.contestants import LOCAL, POOL, Contestant, contestants
from benchmarks.front_end import FrontEnd
from benchmarks.peers.gateway import GatewayConnection, ServerLoop
from benchmarks.peers.kernel_client import KernelClientConnection
from benchmarks.peers.measures import GATEWAY, KERNEL_CLIENT, NODELAY
from benchmarks.peers.servers import Server

# A peer that loses a message stays silent; the longest that one is silent without is a third of this.
PATIENCE_SECONDS = 30.0


@contextmanager
def with_peers() -> Iterator[dict[str, Contestant]]:
    """Give all the contestants, the peers with servers of their own."""
    with contestants({LOCAL, POOL}) as found, ExitStack() as stack:
        token = secrets.token_hex(16)
        loop = stack.enter_context(ServerLoop.run())
        peers = [
            _of_gateway(GATEWAY, loop, stack.enter_context(Server.kernel_gateway(token, has_nodelay=False))),
            _of_gateway(NODELAY, loop, stack.enter_context(Server.kernel_gateway(token, has_nodelay=True))),
            _of_server(stack.enter_context(Server.jupyter_server(token))),
        ]
        for peer in peers:
            stack.callback(peer.close)
        yield found | {peer.name: peer for peer in peers}


def _of_gateway(name: str, loop: ServerLoop, gateway: Server) -> Contestant:
    return Contestant(name, lambda: FrontEnd(GatewayConnection.start(loop, gateway), PATIENCE_SECONDS))


def _of_server(server: Server) -> Contestant:
    return Contestant(KERNEL_CLIENT, lambda: FrontEnd(KernelClientConnection.start(server), PATIENCE_SECONDS))
