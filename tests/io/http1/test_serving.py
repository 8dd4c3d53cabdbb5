"""How our servers are run."""

from remote_kernel.client.http import transport
from remote_kernel.io.http1.serving import KEEP_ALIVE_SECONDS
from remote_kernel.pool.processes import pods


def test_servers_keep_an_idle_connection_for_longer_than_their_clients() -> None:
    """A request on a connection that is just being closed is lost."""
    assert max(transport.KEEPALIVE_SECONDS, pods.KEEPALIVE_SECONDS) < KEEP_ALIVE_SECONDS
