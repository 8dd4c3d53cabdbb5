"""Compression for slow lines: zlib at its fastest, for what is worth it.

Text and JSON shrink to a fifth or less at some 200 MB/s. Pictures in base64 repeat nothing, so that looking for
repetitions only takes time; Huffman's code alone takes a quarter of them away, at the same speed. It never makes less
than an eighth of anything, and so is for what shrinks too well, too. Where it would not shrink either, as with pictures
that are not in base64, bytes stay as they are.
"""

import zlib
from collections.abc import Iterator

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import COMPRESSED

# The heads of a smaller batch are all there is to gain.
MIN_BYTES = 1024
# So much is compressed in a millisecond or two; more than that keeps an event loop waiting.
INLINE_BYTES = 64 * 1024
# What is compressed at a time: the first piece is on its way while the second one is made.
PIECE_BYTES = 256 * 1024
# What becomes of one piece at most, whoever has made it.
MAX_UNPACKED_BYTES = COMPRESSED.unpacked_bytes or 0

# What is not smaller than this part of it is not worth the time of either end.
_WORTH = 0.9
# What shrinks to less than this part is a cell that says the same for ever. What is on its way counts as read, so that
# the network would hold minutes of it, and an interrupt would not be seen for as long.
_RUNAWAY = 1 / 20

_SAMPLE_BYTES = 4 * 1024


def choose_strategy(data: bytes) -> int | None:
    """Return zlib's strategy for `data`, judged by samples of it; `None` where compressing it would gain little."""
    if len(data) < MIN_BYTES:
        return None
    sample = _sample(data)
    repetitive, huffman = (len(_deflate(sample, each)) for each in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY))
    if _RUNAWAY * len(sample) <= repetitive < _WORTH * min(huffman, len(sample)):
        return zlib.Z_DEFAULT_STRATEGY
    return zlib.Z_HUFFMAN_ONLY if huffman < _WORTH * len(sample) else None


def _sample(data: bytes) -> bytes:
    """Return some of the beginning, the middle and the end; of little, all."""
    if len(data) <= 3 * _SAMPLE_BYTES:
        return data
    last = len(data) - _SAMPLE_BYTES
    return b"".join(data[start : start + _SAMPLE_BYTES] for start in (0, last // 2, last))


def compress(data: bytes, strategy: int) -> Iterator[bytes]:
    """Yield `data` in compressed pieces, each one made when it is asked for."""
    with memoryview(data) as view:
        for start in range(0, len(view), PIECE_BYTES):
            yield _deflate_piece(view[start : start + PIECE_BYTES], strategy)


def _deflate_piece(data: memoryview, strategy: int) -> bytes:
    """Compress a piece; one that shrinks much more than the samples did is held to an eighth as well."""
    piece = _deflate(data, strategy)
    return piece if len(piece) >= _RUNAWAY * len(data) else _deflate(data, zlib.Z_HUFFMAN_ONLY)


def _deflate(data: bytes | memoryview, strategy: int) -> bytes:
    packer = zlib.compressobj(zlib.Z_BEST_SPEED, strategy=strategy)
    return packer.compress(data) + packer.flush()


def deflated_bytes(size: int) -> int:
    """Return how many bytes become of so many at most where they do not shrink, whichever zlib a system has."""
    return size + size // 8 + 64


def decompress(piece: bytes | memoryview) -> bytes:
    """Return what became of one piece, at most `MAX_UNPACKED_BYTES`; raises `WireError` when it is none."""
    return inflate(
        piece, max_bytes=min(MAX_UNPACKED_BYTES, (COMPRESSED.expansion or 0) * len(piece)), name="a compressed frame"
    )


def inflate(data: bytes | memoryview, *, max_bytes: int, name: str) -> bytes:
    """Unpack one zlib stream that has come from outside.

    Args:
        max_bytes: how much may become of it; no more than that is unpacked.
        name: what it is, for errors.

    Raises:
        WireError: it is none, holds more, was cut, or has something behind its end.
    """
    unpacker = zlib.decompressobj()
    try:
        # One byte more than may be, as an end right behind the last one is not always seen.
        unpacked = unpacker.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise WireError(f"{name} cannot be unpacked") from error
    if len(unpacked) > max_bytes:
        raise WireError(f"{name} holds more than {max_bytes:,} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise WireError(f"{name} was cut, or has something behind its end")
    return unpacked
