"""Requests of a link: messages up, the event stream down."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

from remote_kernel.client.http.pool_client import ALLOCATE_SECONDS
from remote_kernel.client.http.transport import Broke, NoConnection
from remote_kernel.client.link.following import Connect
from remote_kernel.client.routes.route import Body, Route
from remote_kernel.core.errors import PoolError, PoolRefused, PoolUnreachable, RemoteKernelError, WireError
from remote_kernel.core.numbers import EPOCH
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, Meaning, meaning_of
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.launch import LAUNCH_PATH, Launch

# What `open_events` and reading what it gives raise.
StreamError = RemoteKernelError | Broke | OSError


# Returns the launch options of today; `None` for nothing to say.
ReadLaunch = Callable[[], Awaitable[Launch | None]]

# Of an agent that is older, or of a pod that has none: an interpreter there starts as it comes.
_NOT_KNOWN = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


class EventStream(NamedTuple):
    """The answer of an agent, and what decodes it."""

    body: Body
    decoder: codec.FrameDecoder


@asynccontextmanager
async def open_events(
    route: Route, target: Mapping[str, str], connect: Connect, read_launch: ReadLaunch | None = None, *,
    workspace: str = "",
) -> AsyncIterator[EventStream]:  # fmt: skip
    """Ask for the events of the kernel `target`, of a new session with its launch options; raises `StreamError`.

    Args:
        workspace: the folder whose changes are to be told; "" for none.
    """
    params = {**target, wire.WORKSPACE_PARAM: workspace} if workspace else dict(target)
    if connect.after is None:
        if read_launch is not None and (launch := await read_launch()) is not None:
            await _ask_launch(route, target, launch)
    else:
        params |= {"epoch": connect.after.epoch, "after": str(connect.after.cursor)}
    compresses = route.should_compress and connect.may_compress
    if compresses:
        params[wire.COMPRESS_PARAM] = wire.COMPRESS_ZLIB
    # A pod that is there answers at once, one that has to be made may take minutes.
    read_seconds = ALLOCATE_SECONDS if connect.after is None else wire.STALE_SECONDS
    async with route.stream("GET", wire.EVENTS_PATH, params=params, read_seconds=read_seconds) as body:
        yield EventStream(body, codec.FrameDecoder(allows_compressed=compresses))


async def is_gone(route: Route) -> bool:
    """Return whether the pool says that it has no session for the identifier; takes none. A pool that cannot tell, or
    does not answer, has not said so."""
    try:
        await route.request("POST", GET_SESSION_PATH)
    except PoolRefused as error:
        return meaning_of(error.status, error.code) is Meaning.NO_SESSION
    except PoolError:
        return False
    return False


async def _ask_launch(route: Route, target: Mapping[str, str], launch: Launch) -> None:
    """Ask for interpreters with these options; the `Hello` says whether the pod knows of them."""
    content = launch.to_bytes()
    try:
        await route.request("PUT", LAUNCH_PATH, params=target, content=content, read_seconds=ALLOCATE_SECONDS)
    except PoolRefused as error:
        if error.status not in _NOT_KNOWN:
            raise


def has_left(error: StreamError) -> bool:
    """Return whether the request that failed may have left this machine."""
    return not isinstance(error.__cause__, NoConnection)


def describe(error: StreamError) -> RemoteKernelError:
    """Return an error of a stream as one for users."""
    if isinstance(error, RemoteKernelError):
        return error
    if isinstance(error, TimeoutError):
        return PoolUnreachable("The session has sent nothing for too long.")
    if isinstance(error, Broke):
        return PoolUnreachable(f"The connection to the session broke: {error}.")
    return PoolError(str(error))


async def post(
    pool: Route, target: Mapping[str, str], batch: Sequence[wire.Message], *, sender: str, epoch: str,
    compresses: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Send messages, numbered by `sender`, to the kernel and kernelspec `target`; return what the pod answers.

    Args:
        compresses: whether to compress them, which the pod must understand.

    Raises:
        PoolError: they did not arrive, or the interpreter there is not `epoch` (see `wire.EPOCH_MISMATCH`).
        PoolUnreachable: also where somebody else has answered, as the proxies of hotels do, with a page and status 200.
    """
    params = {**target, "epoch": epoch, "sender": sender}
    content = codec.encode_all(batch)
    if compresses:
        from remote_kernel.core.wire.compression import INLINE_BYTES  # late, as a start waits for imports

        is_large = len(content) > INLINE_BYTES
        content = await asyncio.to_thread(_compress, content) if is_large else _compress(content)
    answer = await pool.request("POST", wire.MESSAGES_PATH, params=params, content=content)
    if type(answer.get("accepted")) is not int:
        raise PoolUnreachable(
            "Something on the way to the session answers in its place: is there a page to sign in at?"
        )
    return answer


def _compress(frames: bytes) -> bytes:
    return b"".join(codec.compressed(frames))


async def post_once(pool: Route, target: Mapping[str, str], message: wire.Message, epoch: str) -> str:
    """Send one message, once; return the epoch after it, "" where the pod does not tell. Raises `PoolError`, as `post`
    does."""
    answer = await post(pool, target, [message._replace(sequence=1)], sender=secrets.token_hex(8), epoch=epoch)
    try:
        return EPOCH.check(answer.get("epoch"), "an epoch")
    except WireError:
        return ""
