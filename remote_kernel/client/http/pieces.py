"""Pieces of a body, put together: whatever their size, they take no more memory than the body and a little."""

# So many wait to be put together: of usual pieces, all of a body.
_MOST = 1000


class Pieces:
    """Pieces of a body, in order."""

    def __init__(self) -> None:
        self._joined: list[bytes] = []
        self._last: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self._last.append(piece)
        if len(self._last) == _MOST:
            self._joined.append(b"".join(self._last))
            self._last.clear()

    def join(self) -> bytes:
        """Return the body."""
        return b"".join((*self._joined, *self._last))
