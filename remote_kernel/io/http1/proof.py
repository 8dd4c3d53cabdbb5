"""Proof, at the start of each connection to the local pool, that it knows its token (`core.pools.pool_proof`)."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from remote_kernel.core.pools.pool_proof import CHALLENGE_BYTES, PROOF_PATH, is_proof
from remote_kernel.io.http1.answer import ConnectionBroke
from remote_kernel.io.http1.client import Client, NoConnection
from remote_kernel.io.http1.connection import Connection

# A pool on this machine answers at once, unless the machine is very busy; a stranger may never do so.
PROOF_SECONDS = 5.0

# A proof has 64 digits, and its head a few lines. What else a stranger may say has no place in memory.
MAX_ANSWER_BYTES = 4096


def demand_proof(token: str, seconds: float = PROOF_SECONDS) -> Callable[[Connection], Awaitable[None]]:
    """Return what has whoever is at the other end of a new connection prove in time that it knows `token`.

    It raises `NoConnection` where they do not: then nothing has been sent that is anybody's business.
    """

    async def demand(connection: Connection) -> None:
        challenge = secrets.token_hex(CHALLENGE_BYTES)
        try:
            async with asyncio.timeout(seconds):
                answer = await _ask(connection, challenge)
            is_pool = is_proof(answer, token, challenge, connection.peer)
        except TimeoutError:
            raise NoConnection("it does not prove in time that it is the pool") from None
        except ConnectionBroke:
            raise NoConnection("another program has its port") from None
        if not is_pool:
            raise NoConnection("another program has its port")

    return demand


async def _ask(connection: Connection, challenge: str) -> str:
    """Send the challenge and return what is answered; "" for what cannot be a proof. Raises `ConnectionBroke`."""
    host, port = connection.peer
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    target = f"{PROOF_PATH}?challenge={challenge}"
    connection.allowance_bytes = MAX_ANSWER_BYTES
    await connection.request(b"GET", target.encode(), [(b"host", authority.encode())], b"")
    answer = await connection.head(None)
    if answer.status != HTTPStatus.OK:
        return ""
    body = b""
    while piece := await connection.piece(None):
        body += piece
    if not connection.is_done:
        raise ConnectionBroke("it closes the connection behind the proof")
    connection.rest()
    connection.allowance_bytes = None
    return body.decode("ascii", errors="replace")


async def proves(host: str, port: int, token: str, seconds: float = PROOF_SECONDS) -> bool:
    """Return whether a program at this address knows `token`."""
    client = Client.tcp(host, port, keepalive_seconds=seconds, introduce=demand_proof(token, seconds))
    try:
        return await client.can_connect()
    finally:
        await client.aclose()
