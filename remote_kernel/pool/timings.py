"""Timings of a pool: how long its clients and pods are waited for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Timings of a pool.

    Attributes:
        head_seconds: from the first byte of a request, or of the connection, to the end of its head.
        body_seconds: a client that sends nothing for so long within a body has gone, or means harm.
        stop_grace_seconds: before a pod that is stopped is killed. It ends its streams within a second, and then gives
            its interpreters three for their exit handlers. A pool that is told to leave has 10 s in all
            (`remote_kernel.client.local_pool`).
        expire_again_seconds: until sessions are looked at again after a defect of ours.
    """

    head_seconds: float = 30.0
    body_seconds: float = 60.0
    stop_grace_seconds: float = 5.0
    expire_again_seconds: float = 10.0


DEFAULT_TIMINGS = Timings()
