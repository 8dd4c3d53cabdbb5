"""Pulse of pods: do they compute? Asked past the front door, so that looking at a session keeps none alive."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.wire.frames import LOOK_PARAM, SESSION_PATH
from remote_kernel.io.http1 import Client, ConnectionBroke, NoConnection

# A pod that is so busy that it does not answer within this is shown without.
TIMEOUT_SECONDS = 0.5

_TARGET = f"{SESSION_PATH}?{LOOK_PARAM}=1".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Pulse of a pod: how many kernels it has, and whether one of them executes something."""

    kernels: int
    is_busy: bool


async def take_pulses(pods: Mapping[str, Client]) -> dict[str, Pulse]:
    """Ask all at once; a pod that does not answer or knows nothing of kernels is left out."""
    pulses = await asyncio.gather(*map(_take_pulse, pods.values()))
    return {label: pulse for label, pulse in zip(pods, pulses, strict=True) if pulse is not None}


async def _take_pulse(pod: Client) -> Pulse | None:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await pod.send(b"GET", _TARGET, [(b"host", b"pod")])
            try:
                return parse_pulse(await response.read())
            finally:
                response.close()
    except (NoConnection, ConnectionBroke, TimeoutError):
        return None


def parse_pulse(body: bytes) -> Pulse | None:
    """Read the answer to a `GET` of the session; `None` when it is not one."""
    try:
        kernels = parse_json_object(body, ANSWER)["kernels"]
        return Pulse(kernels=len(kernels), is_busy=any(kernel["is_busy"] is True for kernel in kernels))
    except (WireError, TypeError, KeyError):
        return None
