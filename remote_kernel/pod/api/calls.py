"""Requests and answers of a pod, whatever way they travel."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.limits import REQUEST
from remote_kernel.core.numbers import MAX_SEQUENCE, MOMENT
from remote_kernel.core.wire.frames import DEFAULT_KERNEL, DEFAULT_KERNELSPEC

MAX_BODY_BYTES = REQUEST.bytes or 0

JSON_MEDIA_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the parameters of its query, and how to get its body, which may raise `BodyTooLarge`."""

    params: Mapping[str, str]
    read_body: Callable[[], Awaitable[bytes]]

    def required(self, name: str) -> str:
        """Return a parameter that must be there; raises `BadRequest`."""
        value = self.params.get(name, "")
        if not 0 < len(value) <= 128:
            raise BadRequest(f"The parameter {name!r} is missing or too long.")
        return value

    def check_pod(self, pod: str) -> None:
        """Raise `PodMismatch` where the request means a pod of another name than this one's."""
        if self.params.get("pod", pod) != pod:
            raise PodMismatch("The pod of the session is another one, and has nothing of what was in that before it.")

    def number(self, name: str, default: int | None = None) -> int:
        """Return a parameter that is a number from 0 to `MAX_SEQUENCE`; raises `BadRequest`."""
        text = self.params.get(name, "" if default is None else str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_SEQUENCE):
            raise BadRequest(f"The parameter {name!r} is not a number.")
        return int(text)

    def moment(self, name: str) -> float | None:
        """Return a parameter that is a time in seconds since 1970, `None` where it is missing; raises `BadRequest`."""
        if name not in self.params:
            return None
        try:
            return float(MOMENT.check(float(self.params[name]), name))
        except (ValueError, WireError):
            raise BadRequest(f"The parameter {name!r} is not a time.") from None

    def kernel(self) -> tuple[str, str]:
        """Return which kernel the request is for: its name and its kernelspec; raises `BadRequest`."""
        name, kernelspec = self.params.get("kernel", DEFAULT_KERNEL), self.params.get("kernelspec", DEFAULT_KERNELSPEC)
        if not (0 < len(name) <= 128 and 0 < len(kernelspec) <= 128):
            raise BadRequest("The parameters 'kernel' and 'kernelspec' are names of 1 to 128 characters.")
        return name, kernelspec

    def reader(self) -> str:
        """Return who asks; "" for who does not say it."""
        return self.params.get("reader", "")[:128]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer to a request.

    Attributes:
        body: all of it, or its pieces as they come; whoever sends them closes the iterator.
        is_busy: whether more of the body is about to come, as of a kernel that executes something.
    """

    body: bytes | AsyncIterator[bytes | memoryview]
    media_type: str = JSON_MEDIA_TYPE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_busy: Callable[[], bool] = bool

    @classmethod
    def of_json(cls, value: Mapping[str, object]) -> "Answer":
        """Return an answer whose body is a JSON object."""
        return cls(body=json.dumps(value, separators=(",", ":")).encode())


class PodMismatch(RemoteKernelError):
    """The client speaks of another pod."""


class BadRequest(Exception):
    """The request cannot be understood."""


class BodyTooLarge(Exception):
    """The request's body is over the limit."""

    def __init__(self) -> None:
        super().__init__(
            f"A message may have {MAX_BODY_BYTES >> 20} MB with all its buffers, and this one has more: "
            "send it in smaller pieces, or as a file."
        )


REFUSALS = (RemoteKernelError, BadRequest, BodyTooLarge)

Handler = Callable[[Call], Awaitable[Answer]]
