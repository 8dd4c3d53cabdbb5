"""The little of Jupyter's messaging protocol that a relay has to know: signatures, headers, a few messages of its own.

Source: "Messaging in Jupyter" of jupyter_client, version 5.4. A message is four JSON parts (header, parent header,
metadata, content) and any number of binary buffers; on ZeroMQ, routing prefixes, a delimiter and an
HMAC signature of the four parts go before them.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import has_more_values
from remote_kernel.core.jupyter.parts import as_parts
from remote_kernel.core.limits import HEADER, REPLY
from remote_kernel.core.short_cache import remembered

PROTOCOL_VERSION = "5.4"
DELIMITER = b"<IDS|MSG>"

_VERSION = re.compile(rb'"version"\s*:\s*"\d')

_decoder = json.JSONDecoder()


def parse_scheme(scheme: str) -> str:
    """Return the hash that a connection file's `signature_scheme` names, `hmac-<hash>`, as hashlib calls it.

    Raises:
        ValueError: it names none, or one that has no fixed length or is forbidden on this system.
    """
    kind, _, name = scheme.partition("-")
    try:
        if kind != "hmac" or name not in hashlib.algorithms_guaranteed:
            raise ValueError(name)
        Signer(b"key", name).sign([b""] * 4)
    except (ValueError, TypeError):
        raise ValueError(f"{scheme!r} signs nothing") from None
    return name


class Signer:
    """Signs and verifies with the key of a connection file; an empty key means that nothing is signed.

    HMAC (RFC 2104) of two hashes that have begun with the key: `hmac` takes twice as long for messages this short.

    Args:
        hash_name: as `parse_scheme` returns it.
    """

    def __init__(self, key: bytes, hash_name: str = "sha256") -> None:
        begin = partial(hashlib.new, hash_name)
        block_size = begin().block_size
        block = (begin(key).digest() if len(key) > block_size else key).ljust(block_size, b"\0")
        self._inner, self._outer = (begin(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
        self._has_key = bool(key)

    def sign(self, parts: Sequence[bytes]) -> bytes:
        """Return the hex signature of the first four of `parts`."""
        if not self._has_key:
            return b""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(b"".join(parts[:3]))  # they are short
        inner.update(parts[3])
        outer.update(inner.digest())
        return outer.hexdigest().encode()

    def to_zmq(self, parts: Sequence[bytes], prefixes: Sequence[bytes] = ()) -> list[bytes]:
        """Return the ZeroMQ frames of a message."""
        return [*prefixes, DELIMITER, self.sign(parts), *parts]

    def from_zmq(self, frames: Sequence[bytes | memoryview]) -> tuple[list[bytes], tuple[bytes, ...]]:
        """Return routing prefixes and parts; raises `WireError` when the message is cut or its signature is wrong."""
        try:
            split = frames.index(DELIMITER)
        except ValueError:
            raise WireError("a message without a delimiter") from None
        prefixes, parts = list(map(bytes, frames[:split])), as_parts(frames[split + 2 :])
        if len(parts) < 4:
            raise WireError("a message with fewer than four parts")
        if self._has_key and not hmac.compare_digest(bytes(frames[split + 1]), self.sign(parts)):
            raise WireError("a message with a wrong signature")
        return prefixes, parts


class Header(NamedTuple):
    """Header fields that routing needs; empty strings where a field is missing."""

    msg_id: str
    msg_type: str
    session: str
    subshell_id: str

    @property
    def key(self) -> tuple[str, str]:
        """Return type and id. Ids alone are not unique: a kernel manager and its client count separately."""
        return self.msg_type, self.msg_id


@remembered(16)  # all that is said about a request has the same parent header
def parse_header(part: bytes) -> Header:
    """Read a header or parent header; raises `WireError` when it is not a JSON object of strings, or is very long."""
    if len(part) > (HEADER.bytes or 0):
        raise WireError("a header that is longer than one may be")
    get = parse_object(part).get
    header = Header(
        msg_id=get("msg_id") or "",
        msg_type=get("msg_type") or "",
        session=get("session") or "",
        subshell_id=get("subshell_id") or "",
    )
    if {*map(type, header)} != {str}:
        raise WireError("a header field that is not a string")
    return header


def with_version(parts: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a front end's message, whose header has the protocol's version from now on where it had none.

    ipykernel leaves a message without one unanswered, and says neither that it is busy nor that it is idle.

    Raises:
        WireError: the header is not a JSON object.
    """
    header, *rest = parts
    if _VERSION.search(header) is None and len(header) <= (HEADER.bytes or 0):
        header = json.dumps({**parse_object(header), "version": PROTOCOL_VERSION}).encode()
    return header, *rest


def parse_parent(part: bytes) -> Header:
    """Read a parent header; of one that cannot be read every field is "", as what a kernel says is passed on anyway."""
    try:
        return parse_header(part)
    except WireError:
        return Header(msg_id="", msg_type="", session="", subshell_id="")


def parse_date(part: bytes) -> datetime | None:
    """Return when a message was made, from its header; `None` where that cannot be read."""
    try:
        return datetime.fromisoformat(str(parse_object(part).get("date")))
    except (ValueError, WireError):
        return None


def parse_type(part: bytes) -> str:
    """Read the type in the header of what a kernel says; "" where it cannot be read."""
    msg_type = parse_reply(part).get("msg_type")
    return msg_type if isinstance(msg_type, str) else ""


def parse_reply(content: bytes) -> dict[str, Any]:
    """Read the content of a reply; of one that cannot be read, or is very long, {}: it is passed on anyway."""
    most = REPLY.values or 0
    is_long = len(content) > most and (len(content) > (REPLY.bytes or 0) or has_more_values(bytes(content), most))
    try:
        return {} if is_long else parse_object(content)
    except WireError:
        return {}


def is_error(content: bytes) -> bool:
    """Return whether the content of a reply says that what was asked for has failed."""
    return b'"error"' in bytes(content) and parse_reply(content).get("status") == "error"


def is_unicode(text: str) -> bool:
    """Return whether a kernel can answer to this: JSON may hold halves of characters, which end its handler without
    a word."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_object(part: bytes) -> dict[str, Any]:
    """Read a part that must be a JSON object; raises `WireError` when it is not.

    What is no UTF-8 in it, as in a file's name that a cell prints, is read as front ends read it (`json_unpacker` of
    jupyter_client 8): with a replacement character.
    """
    try:
        text = str(part, "utf-8", "surrogatepass")  # what `json.loads` does, without asking which UTF it is
    except UnicodeDecodeError:
        text = str(part, "utf-8", "replace")
    try:
        value, end = _decoder.raw_decode(text) if text.startswith("{") else (None, 0)
        if end < len(text):  # there is more than the object, if only white space, which hardly anybody writes
            value = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise WireError("a part of a message is not JSON") from error
    if not isinstance(value, dict):
        raise WireError("a part of a message is not a JSON object")
    return value


class Author:
    """Writes the messages that we say ourselves, with headers of one Jupyter session.

    Args:
        session: the session id in the headers.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._count = 0

    def write(
        self,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        parent: bytes = b"{}",
        date: datetime,
        username: str = "kernel",
    ) -> tuple[bytes, ...]:
        """Return the parts of a new message; `parent` is the header part of the request that it belongs to."""
        self._count += 1
        msg_id = f"{self._session}_{self._count}"
        header = write_header(msg_id, msg_type, session=self._session, date=date, username=username)
        return header, parent, b"{}", json.dumps(content).encode()


def write_header(
    msg_id: str, msg_type: str, *, session: str, date: datetime, username: str = "kernel", **more: str
) -> bytes:
    """Return the header part of a new message; `more` are fields that not every message has."""
    fields = {
        "msg_id": msg_id,
        "msg_type": msg_type,
        "username": username,
        "session": session,
        "date": date.isoformat(),
        "version": PROTOCOL_VERSION,
        **more,
    }
    return json.dumps(fields).encode()
