"""How a kernel and an agent without a port of its own talk: batches of requests and answers, one exchange at a time.

An agent that a kernel has brought into a pod of a built-in interpreter is reached through short executions only. Each
carries one `Exchange` in and the pieces of answers out. A request is called once and then read, in as many exchanges as
it takes, until its last piece; a stream of events is a request whose last piece is long in coming. Whatever is lost on
the way ends the requests that it belonged to, as a connection that breaks does.

    packed   zlib: the head, a JSON object on one line; a line feed; the blobs, whose sizes the head gives
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remote_kernel.core.errors import WireError

# Agents that speak another version live in folders of other names, and their kernels are not ours.
VERSION = 1

# More than one request may have, and far less than what would take a small machine down.
MAX_PACKED_BYTES = 512 * 1024 * 1024

# `Piece.status` of a request that the agent does not know, or not any more.
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, under an id that its caller makes up."""

    id: str
    method: str
    path: str
    params: dict[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a kernel says.

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
        head, blobs = _unpack(data)
        try:
            calls = [
                Call(id=id_, method=method, path=path, params=dict(params), content=blobs.take(size))
                for id_, method, path, params, size in head.pop("calls")
            ]
            return cls(calls=calls, **head)
        except (TypeError, ValueError, KeyError) as error:
            raise WireError("an exchange with other fields than it should have") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What there is of one answer.

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


def unpack_pieces(data: bytes) -> list[Piece]:
    """Read what `pack_pieces` wrote; raises `WireError`."""
    head, blobs = _unpack(data)
    try:
        return [
            Piece(id=id_, status=status, data=blobs.take(size), is_last=is_last, is_busy=is_busy)
            for id_, status, size, is_last, is_busy in head["pieces"]
        ]
    except (TypeError, ValueError, KeyError) as error:
        raise WireError("answers with other fields than they should have") from error


def _pack(head: Mapping[str, object], blobs: Iterable[bytes]) -> bytes:
    return zlib.compress(b"".join((json.dumps(head, separators=(",", ":")).encode(), b"\n", *blobs)))


class _Blobs:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes; raises `ValueError` when there are fewer."""
        end = self._start + size
        if not self._start <= end <= len(self._data):
            raise ValueError
        blob = self._data[self._start : end]
        self._start = end
        return blob


def _unpack(data: bytes) -> tuple[dict[str, Any], _Blobs]:
    unpacker = zlib.decompressobj()
    try:
        text, _, blobs = unpacker.decompress(data, MAX_PACKED_BYTES).partition(b"\n")
        head = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise WireError("an exchange that cannot be read") from error
    if not unpacker.eof or not isinstance(head, dict):
        raise WireError("an exchange that was cut")
    return head, _Blobs(blobs)
