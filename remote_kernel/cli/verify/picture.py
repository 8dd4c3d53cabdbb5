"""Pictures compared by what they show, without what their files say of their making.

Source: "Chunk layout" and "IDAT Image data" of the PNG specification, https://www.w3.org/TR/png-3/.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterator

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import PICTURE, Limit
from remote_kernel.core.wire.compression import inflate

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Which program wrote the picture and when: nothing that one could see.
_REMARKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"})


def describe_picture(mime: str, text: str, limit: Limit = PICTURE) -> str:
    """Return type, size and a digest of what is to be seen; `text` is base64.

    Of a picture that unpacks to more than `limit`, as of what is no PNG, it is the digest of the file.
    """
    try:
        data = base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        data = text.encode(errors="surrogatepass")
    try:
        size, seen = _read_png(data, limit)
    except (struct.error, WireError, ValueError):
        size, seen = "", data
    return f"[{mime}{size}, {hashlib.sha256(seen).hexdigest()[:12]}]"


def _read_png(data: bytes, limit: Limit) -> tuple[str, bytes]:
    """Return the dimensions, and header, palette and uncompressed pixels.

    Raises:
        ValueError, WireError, struct.error: it is no PNG, or one that is larger than it may be.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    chunks = list(_chunks(data))
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    pixels = inflate(packed, max_bytes=limit.unpacked_bytes or 0, name="a picture")
    rest = b"".join(kind + body for kind, body in chunks if kind not in _REMARKS | {b"IDAT"})
    width, height = struct.unpack(">II", chunks[0][1][:8])
    return f", {width} × {height}", rest + pixels


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        position += length + 12
