"""A pool that sends its callers elsewhere is not obeyed."""

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import TlsTransport
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.identity import Identifier
from tests.listening import listening

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_with_the_token(status: int) -> None:
    with listening((200, {}, b"{}")) as elsewhere, listening((status, {"location": elsewhere.url}, b"")) as pool:
        client = PoolClient(ConfiguredAccess(pool.url.rstrip("/"), "sesame"), Identifier("session-1"))
        with pytest.raises(PoolRefused):
            await client.request("POST", "/x", content=b"code")
        await client.aclose()
        # What goes to Azure goes through httpx, which can be told to follow.
        transport = TlsTransport(pool.url.rstrip("/"))
        response = await transport.send("GET", "/x", "sesame", b"", 5.0)
        await response.aclose()
        await transport.aclose()
    assert response.status == status
    assert [authorization for _, authorization in pool.heard] == ["Bearer sesame"] * 2
    assert elsewhere.heard == []
