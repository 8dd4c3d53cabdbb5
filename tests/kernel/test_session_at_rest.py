"""Ends of a session that its kernel has not called for longer than the cooldown: others may have kept it warm."""

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.link.events import Event
from remote_kernel.client.link.following import Position
from remote_kernel.client.link.link import Link
from remote_kernel.client.routes.route import Body
from remote_kernel.core.errors import PoolRefused, PoolUnreachable
from remote_kernel.core.identity import Identifier
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, SESSION_NOT_FOUND
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.session.binding import Binding, after_restart
from remote_kernel.kernel.session.releases import MAX_AGE_SECONDS, Releases, release_of
from remote_kernel.kernel.session.session import Session
from tests.kernel.taken_releases import take_all

pytestmark = pytest.mark.anyio

ENDPOINT = "http://127.0.0.1:9"
CONFIGURED = {"REMOTE_KERNEL_ENDPOINT": ENDPOINT, "REMOTE_KERNEL_TOKEN": "t"}

RESTART = wire.Message(channel=wire.Channel.CONTROL, parts=(b"{}", b"{}", b"{}", b"{}"))


class OtherRoute:
    """A route to a session that others may have kept warm.

    Attributes:
        has_session: what the pool says; `None` where it does not answer.
        asked: path and epoch of the requests so far.
    """

    stale_seconds, piece_bytes, should_compress = None, 1024, False

    def __init__(self, *, has_session: bool | None) -> None:
        self.has_session = has_session
        self.asked: list[tuple[str, str]] = []

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        self.asked.append((path, (params or {}).get("epoch", "")))
        if self.has_session is None:
            raise PoolUnreachable("There is no network.")
        if path == GET_SESSION_PATH and not self.has_session:
            raise PoolRefused("There is none.", status=400, code=SESSION_NOT_FOUND)
        return {"stops": False, "others": 0, "kernels": 1, "accepted": 1, "epoch": "e2"}

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> AsyncIterator[Body]:  # fmt: skip
        raise PoolUnreachable("Nobody is to follow the session.")
        yield

    def drop_idle(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


async def ignore(event: Event) -> None:
    pass


def session_at_rest(folder: Path, route: OtherRoute, environ: Mapping[str, str] | None = None) -> Session:
    """Return a session that this process has followed, and has not called for longer than the cooldown."""
    session = new_session(folder, environ)
    session.binding.remember(binding_to("e1"))
    session.pool, session.link = route, link_at_rest(route)
    return session


def new_session(folder: Path, environ: Mapping[str, str] | None = None) -> Session:
    environ = CONFIGURED if environ is None else environ
    return Session(
        environ, Folders.of_user(), connection_file=folder / "c.json", connection_key=b"", parent=os.getppid()
    )


def binding_to(epoch: str) -> Binding:
    return Binding(
        identifier=Identifier("for-two"), kernel="a", kernelspec="python3", epoch=epoch,
        endpoint=ENDPOINT, notebook="a.ipynb",
    )  # fmt: skip


def link_at_rest(route: OtherRoute) -> Link:
    link = Link(
        route, ignore, kernel="a", kernelspec="python3", position=Position("e1", 5), wait_seconds=5.0,
        keepalive_seconds=0.0,
    )  # fmt: skip
    link.keep_alive.note_call()
    link.keep_alive.cooldown_seconds = -1.0
    assert link.keep_alive.has_cooled_down
    return link


async def test_a_shutdown_gives_back_what_others_have_kept_warm(tmp_path: Path) -> None:
    route = OtherRoute(has_session=True)
    await session_at_rest(tmp_path, route).release()
    assert route.asked == [(GET_SESSION_PATH, ""), (wire.RELEASE_PATH, "e1")]
    assert not Releases(Folders.of_user().runtime).any()


async def test_a_reset_ends_what_others_have_kept_warm(tmp_path: Path) -> None:
    route = OtherRoute(has_session=True)
    session = session_at_rest(tmp_path, route)
    returned = await session.let_go()
    await session.detach()
    assert route.asked == [(GET_SESSION_PATH, ""), (wire.RELEASE_PATH, "e1")]
    assert returned.kernels == 1


@pytest.mark.parametrize("end", ["release", "let_go", "restart"])
async def test_no_end_takes_a_session_where_the_pool_has_none(tmp_path: Path, end: str) -> None:
    route = OtherRoute(has_session=False)
    session = session_at_rest(tmp_path, route)
    await (session.restart(RESTART) if end == "restart" else getattr(session, end)())
    await session.detach()
    assert route.asked == [(GET_SESSION_PATH, "")]
    left = session.binding.file.load()
    assert left is None or (left.epoch, left.restart) == ("", False)
    assert not Releases(Folders.of_user().runtime).any()


@pytest.mark.unix
@pytest.mark.parametrize("end", ["release", "let_go", "restart"])
async def test_no_end_starts_a_local_pool_that_has_left(tmp_path: Path, end: str) -> None:
    route = OtherRoute(has_session=True)
    session = session_at_rest(tmp_path, route, environ={})
    await (session.restart(RESTART) if end == "restart" else getattr(session, end)())
    await session.detach()
    assert route.asked == []


async def test_a_restart_is_passed_on_to_what_others_have_kept_warm(tmp_path: Path) -> None:
    route = OtherRoute(has_session=True)
    session = session_at_rest(tmp_path, route)
    await session.restart(RESTART)
    assert route.asked == [(GET_SESSION_PATH, ""), (wire.MESSAGES_PATH, "e1")]
    assert session.binding.restarted == "e2"


async def test_what_could_not_be_given_back_is_written_down_for_longer_than_the_cooldown(tmp_path: Path) -> None:
    await session_at_rest(tmp_path, OtherRoute(has_session=None)).release()
    releases = Releases(Folders.of_user().runtime)
    (release,) = take_all(releases, ENDPOINT, time.time() + 3600.0)
    assert release.epoch == "e1"
    assert not releases.any()


def test_a_release_is_not_tried_for_ever(tmp_path: Path) -> None:
    releases, now = Releases(tmp_path), time.time()
    releases.add(release_of(binding_to("e1"), now))
    assert releases.waiting(ENDPOINT, now + MAX_AGE_SECONDS) == []
    assert not releases.any()


async def test_what_came_of_a_restart_is_given_back_however_long_ago_it_was(tmp_path: Path) -> None:
    """By a process that has not looked for it, and here by the next one, as the pool does not answer."""
    session = new_session(tmp_path)
    session.binding.remember(replace(after_restart(binding_to("e1"), "e2"), cooldown_seconds=-1.0))
    assert not session.binding.has_just_restarted
    await session.release()
    (release,) = take_all(Releases(Folders.of_user().runtime), ENDPOINT, time.time())
    assert release.epoch == "e2"
