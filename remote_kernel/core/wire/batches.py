"""Batches of requests and answers, for an agent without a port of its own: one exchange at a time.

An agent that a kernel has brought into a pod of a built-in interpreter is reached through short executions only. Each
carries one `Exchange` in and the pieces of answers out. A request is called once and then read, in as many exchanges as
it takes, until its last piece; a stream of events is a request whose last piece is long in coming. Whatever is lost on
the way ends the requests that it belonged to, as a connection that breaks does.

    packed   zlib: a head, and the blobs behind it (`core.wire.blobs`)
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import BATCH, BATCH_OF_REQUESTS, Limit
from remote_kernel.core.numbers import Range
from remote_kernel.core.wire import blobs
from remote_kernel.core.wire.blobs import Blobs
from remote_kernel.core.wire.compression import inflate

# Agents that speak another version live in folders of other names, and their kernels are not ours.
VERSION = 1

# What one request's piece of a batch may have, and the heads of all of them at least.
MAX_PIECE_BYTES = BATCH.unpacked_bytes or 0

# The JSON of either side: ids, paths and numbers.
MAX_HEAD_BYTES = 1024 * 1024

_STATUS = Range(least=0, most=599)
# Nobody has anything to wait for in the pod for longer.
_WAIT = Range(least=0.0, most=60.0, is_clamped=True)

# `Piece.status` of a request that the agent does not know, or not any more.
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, under an id that its caller makes up."""

    id: str
    method: str
    path: str
    params: dict[str, str]
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Batch that a kernel sends.

    Attributes:
        calls: new requests.
        reads: ids of earlier requests, of whose answers more is wanted.
        closes: ids of requests whose answers nobody wants any more.
        call_seconds: how long to wait for the answers of requests that have none yet.
        news_seconds: how long to wait for something new in answers that have begun, counted from the beginning as well.
    """

    calls: Sequence[Call] = ()
    reads: Sequence[str] = ()
    closes: Sequence[str] = ()
    call_seconds: float = 0.0
    news_seconds: float = 0.0

    @property
    def content_bytes(self) -> int:
        return sum(len(call.content) for call in self.calls)

    @property
    def count(self) -> int:
        """Return how many answers it asks for."""
        return len(self.calls) + len(self.reads)

    def pack(self) -> bytes:
        calls = [[call.id, call.method, call.path, call.params, len(call.content)] for call in self.calls]
        head = {
            "calls": calls,
            "reads": list(self.reads),
            "closes": list(self.closes),
            "call_seconds": self.call_seconds,
            "news_seconds": self.news_seconds,
        }
        return _pack(head, (call.content for call in self.calls))

    @classmethod
    def unpack(cls, data: bytes) -> "Exchange":
        """Read what `pack` wrote; raises `WireError`."""
        head, content = _unpack(data, BATCH_OF_REQUESTS, BATCH_OF_REQUESTS.unpacked_bytes or 0)
        try:
            calls = [
                Call(
                    id=_text(id_),
                    method=_text(method),
                    path=_text(path),
                    params=_texts(params),
                    content=content.take(size),
                )
                for id_, method, path, params, size in head["calls"]
            ]
            return cls(
                calls=calls,
                reads=[_text(id_) for id_ in head["reads"]],
                closes=[_text(id_) for id_ in head["closes"]],
                call_seconds=_WAIT.check(head["call_seconds"], "call_seconds"),
                news_seconds=_WAIT.check(head["news_seconds"], "news_seconds"),
            )
        except (TypeError, ValueError, KeyError) as error:
            raise WireError("an exchange with other fields than it should have") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Piece of one answer.

    Attributes:
        status: an HTTP status; 0 as long as there is no answer.
        data: the next bytes of the body.
        is_last: whether the answer ends with them.
        is_busy: whether more is to be expected: it is there already, or the kernel that this speaks of is executing
            something.
    """

    id: str
    status: int
    data: bytes = b""
    is_last: bool = False
    is_busy: bool = False


def pack_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return an agent's side of an exchange."""
    heads = [[piece.id, piece.status, len(piece.data), piece.is_last, piece.is_busy] for piece in pieces]
    return _pack({"pieces": heads}, (piece.data for piece in pieces))


def unpack_pieces(data: bytes, count: int) -> list[Piece]:
    """Read what `pack_pieces` wrote, for so many requests at most; raises `WireError`."""
    head, content = _unpack(data, BATCH, (count + 1) * MAX_PIECE_BYTES)
    try:
        pieces = head["pieces"]
        if len(pieces) > count:
            raise WireError("answers to more requests than there are")
        return [
            Piece(
                id=_text(id_),
                status=int(_STATUS.check(status, "a status")),
                data=content.take(size),
                is_last=is_last is True,
                is_busy=is_busy is True,
            )
            for id_, status, size, is_last, is_busy in pieces
        ]
    except (TypeError, ValueError, KeyError) as error:
        raise WireError("answers with other fields than they should have") from error


def _text(value: object) -> str:
    """Return a text; raises `TypeError` for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: object) -> dict[str, str]:
    """Return a dictionary of texts; raises `TypeError` for anything else."""
    if not isinstance(value, dict):
        raise TypeError
    return {name: _text(text) for name, text in value.items()}


def _pack(head: Mapping[str, object], content: Iterable[bytes]) -> bytes:
    return zlib.compress(blobs.join(head, content))


def _unpack(data: bytes, limit: Limit, max_bytes: int) -> tuple[dict[str, Any], Blobs]:
    return blobs.split(inflate(data, max_bytes=max_bytes, name="an exchange"), limit, MAX_HEAD_BYTES)
