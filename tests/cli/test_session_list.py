"""What a pool says of its sessions, from pools that say it for ever."""

from collections.abc import AsyncIterator

import pytest

from remote_kernel.cli.sessions.session_list import _parse_time, list_pool
from remote_kernel.core import limits
from tests.client.hostile import Asked, hostile, say

pytestmark = pytest.mark.anyio


def session(number: int) -> dict[str, object]:
    return {"identifier": f"session-{number}", "lastAccessedAt": "9999-12-31T23:59:59Z", "expireAt": -1e300}


@pytest.mark.parametrize("kind", ["endless", "the same again", "nothing"])
@pytest.mark.parametrize(
    ("path", "endpoint", "name"),
    [
        ("/listSessions", "https://r.dynamicsessions.io/subscriptions/s/resourceGroups/g/sessionPools/p", "sessions"),
        ("/.management/listSessions", "https://p.e.r.azurecontainerapps.io", "value"),
    ],
)
async def test_a_pool_s_list_of_sessions_that_does_not_end_is_given_up(
    kind: str, path: str, endpoint: str, name: str
) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        start = int(asked.params["skip"])
        numbers = {"endless": range(start, start + 100), "the same again": range(10), "nothing": range(0)}[kind]
        return say({name: [session(number) for number in numbers], "nextLink": "http://elsewhere.invalid/next"})

    async with hostile(answer) as server:
        pool = server.pool()
        told = await list_pool(pool, endpoint)
        await pool.aclose()
        assert len(server.asked) <= (limits.SESSION_LIST.pages or 0)
        assert {asked.path for asked in server.asked} == {path}
    assert len(told) <= (limits.SESSION_LIST.entries or 0) + 100


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "x", None, 1e300, [], "2026"])
def test_a_time_that_is_none_is_no_time(text: object) -> None:
    seconds = _parse_time(text)
    assert seconds is None or abs(seconds) < 1e12
