"""Parts of messages as they lie in memory."""

from collections.abc import Sequence
from typing import cast

# What is smaller is copied out of whatever it came in, which costs less than to look at it through a view, and holds
# no more memory than itself.
MIN_VIEW_BYTES = 64 * 1024

# Header, parent header and metadata, which are looked into and compared.
_ALWAYS_BYTES = 3


def as_parts(parts: Sequence[bytes | memoryview]) -> tuple[bytes, ...]:
    """Return the parts of a message; its content and its buffers stay where they are in memory where they are large.

    They are then views that nobody changes, and are said to be bytes, as nothing is done with either but to pass it on,
    to hash it, to ask for its length, and to parse it with the functions of `core.jupyter.messages`. Whatever else
    looks into a content makes bytes of it before.
    """
    if memoryview not in map(type, parts):  # as for nearly all messages
        return cast("tuple[bytes, ...]", tuple(parts))
    kept = (
        part if index >= _ALWAYS_BYTES and len(part) >= MIN_VIEW_BYTES else bytes(part)
        for index, part in enumerate(parts)
    )
    return cast("tuple[bytes, ...]", tuple(kept))


def copied(parts: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return parts that hold no memory but their own: those of a message that is kept, as what a view is into may be
    a thousand times as large."""
    return tuple(map(bytes, parts))
