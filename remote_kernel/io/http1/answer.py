"""One answer, parsed as it comes."""

from collections import deque

import httptools

from remote_kernel.core.limits import HEAD

Headers = list[tuple[bytes, bytes]]


class ConnectionBroke(Exception):
    """The connection broke or fell silent; the request may have been received."""


class NotHttp(ConnectionBroke):
    """Bytes that are not HTTP, or end where they must not."""


# What a body of many small chunks takes beside them, for each byte of it.
_CHUNK_HEAD_BYTES = 16


class Answer:
    """Takes bytes, and has the head and the pieces of the body that they make.

    Args:
        method: of the request; an answer to HEAD has no body, whatever it says of one.

    Attributes:
        status: 0 until the head is complete.
        headers: names are in lower case.
        pieces: of the body, not taken so far.
        is_complete: whether all of it has come.
        allows_another: whether the server keeps the connection for another request.
    """

    def __init__(self, method: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._is_to_head = method == b"HEAD"
        self._has_begun = False
        self._head: Headers = []
        self.status = 0
        self.headers: Headers = []
        self.pieces: deque[bytes] = deque()
        self.is_complete = False
        self.allows_another = False
        # Bytes that are no body, and how many there may be: the parser itself keeps whatever it is given of a head.
        self._other_bytes = 0
        self._max_other_bytes = HEAD.bytes or 0

    def feed(self, data: memoryview) -> None:
        """Parse what came; raises `NotHttp`."""
        self._has_begun = True
        if self.is_complete:
            self.allows_another = False  # nobody has asked for more
            return
        self._other_bytes += len(data)  # until the parser tells what of it is body
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise NotHttp("the server speaks another protocol") from None
        except httptools.HttpParserError as error:
            raise NotHttp(f"the server does not speak HTTP ({error})") from None
        if self._other_bytes > self._max_other_bytes and not self.is_complete:
            raise NotHttp("the head of the answer does not end")

    def end(self) -> None:
        """Note that nothing more will come, which completes some answers; raises `NotHttp` for any other."""
        if self.is_complete or not self._has_begun:
            return
        if not self.status or self._has_length():
            raise NotHttp("the answer ends where it must not")
        self.is_complete = True

    def _has_length(self) -> bool:
        """Return whether the head says where the body ends (RFC 9112, 6.3)."""
        return any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)

    # What the parser calls

    def on_message_begin(self) -> None:
        self.allows_another = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_complete:
            self._head.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.is_complete or status < 200:
            self._head = []
            return
        self.status, self.headers = status, self._head
        if self._is_to_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        if not self.is_complete:
            self.pieces.append(body)
            self._other_bytes -= len(body)
            self._max_other_bytes += _CHUNK_HEAD_BYTES * len(body)

    def on_message_complete(self) -> None:
        if self.status and not self.is_complete:
            self.is_complete = True
            self.allows_another = self._parser.should_keep_alive()
