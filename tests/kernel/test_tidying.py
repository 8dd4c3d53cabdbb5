"""What earlier kernels could not give back is given back by one kernel, and by the next if that one is killed."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.access import Access, ConfiguredAccess
from remote_kernel.core.errors import PoolUnreachable
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.session.binding import Binding
from remote_kernel.kernel.session.releases import Releases, release_of
from remote_kernel.kernel.session.tidying import Tidying

pytestmark = pytest.mark.anyio

ENDPOINT = "http://127.0.0.1:9"
SETTINGS = Settings(endpoint=ENDPOINT)
ACCESS = ConfiguredAccess(ENDPOINT, "t")

LEFT = Binding(identifier=Identifier("left"), kernel="main", kernelspec="python3", epoch="e1", endpoint=ENDPOINT)


class SlowRoute:
    """A route to a session whose pod answers when it may.

    Attributes:
        asked: is set when the pod has been asked to end.
        may_answer: is set when it may.
        has_network: whether a request arrives.
    """

    def __init__(self, *, has_network: bool = True) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.has_network = has_network

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        if not self.has_network:
            raise PoolUnreachable("There is no network.")
        if path == wire.RELEASE_PATH:
            self.asked.set()
            await self.may_answer.wait()
        return {"stops": False, "others": 0, "kernels": 0}

    async def aclose(self) -> None:
        pass


def tidying(folder: Path, route: SlowRoute, seen: list[str] | None = None) -> Tidying:
    def open_route(_settings: Settings, _access: Access, identifier: Identifier) -> SlowRoute:
        if seen is not None:
            seen.append(identifier)
        return route

    return Tidying(folder, Releases(folder), open_route)  # type: ignore[arg-type]


async def test_a_release_stays_written_down_until_it_is_done_and_one_kernel_does_it(tmp_path: Path) -> None:
    releases, route, others = Releases(tmp_path), SlowRoute(), SlowRoute()
    releases.add(release_of(LEFT, 4e9))
    async with asyncio.TaskGroup() as group:
        group.create_task(tidying(tmp_path, route).catch_up(SETTINGS, ACCESS))
        await route.asked.wait()
        assert releases.any(), "a kernel that is killed now leaves a session that nobody gives back"
        await tidying(tmp_path, others).catch_up(SETTINGS, ACCESS)
        assert not others.asked.is_set()
        route.may_answer.set()
    assert not releases.any()


async def test_a_release_that_is_broken_off_is_done_by_the_next_kernel(tmp_path: Path) -> None:
    releases, route, following = Releases(tmp_path), SlowRoute(), SlowRoute()
    releases.add(release_of(LEFT, 4e9))
    first = asyncio.create_task(tidying(tmp_path, route).catch_up(SETTINGS, ACCESS))
    await route.asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    following.may_answer.set()
    await tidying(tmp_path, following).catch_up(SETTINGS, ACCESS)
    assert following.asked.is_set()
    assert not releases.any()


async def test_what_cannot_be_given_back_is_not_in_the_way_of_what_can(tmp_path: Path) -> None:
    """A kernel tries sixteen; those that it could not reach come last the next time."""
    releases = Releases(tmp_path)
    for number in range(40):
        path = releases.add(release_of(replace(LEFT, identifier=Identifier(f"left-{number}")), 4e9))
        assert path is not None
        os.utime(path, (1e9, 1e9))  # the clock of files may not tell the first try from the writing
    seen: list[str] = []
    for _ in range(3):
        await tidying(tmp_path, SlowRoute(has_network=False), seen).catch_up(SETTINGS, ACCESS)
    assert set(seen) == {f"left-{number}" for number in range(40)}
    assert len(releases.waiting(ENDPOINT, 4e9)) == 40
