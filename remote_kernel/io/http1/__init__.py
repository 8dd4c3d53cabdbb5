"""HTTP/1.1 on asyncio transports: a client for the ways on this machine, and what our servers add to uvicorn."""

from remote_kernel.io.http1.answer import ConnectionBroke, Headers, NotHttp
from remote_kernel.io.http1.client import CONNECT_SECONDS, Client, NoConnection, Response
from remote_kernel.io.http1.connection import WRITE_SECONDS, Body
from remote_kernel.io.http1.proof import PROOF_SECONDS, demand_proof, proves

__all__ = [
    "CONNECT_SECONDS",
    "PROOF_SECONDS",
    "WRITE_SECONDS",
    "Body",
    "Client",
    "ConnectionBroke",
    "Headers",
    "NoConnection",
    "NotHttp",
    "Response",
    "demand_proof",
    "proves",
]
