"""Replies too large to be kept when the output around them goes, made short: their request has an end all the same."""

import json
import re
from collections.abc import Mapping

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import parse_object
from remote_kernel.core.wire.codec import decode_all, encode
from remote_kernel.core.wire.frames import Channel, Message

# Most replies have 1 or 2 KB, one with a long traceback ten.
MAX_BYTES = 16 * 1024

# Of a text in a reply that is too large, so much stays; of a list or object that is longer, nothing.
MAX_VALUE_CHARS = 1000

# The beginning of a colour would take the first letters behind it for its own.
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*)?\Z")

CUT = "… [the rest was dropped]"


def shorten(entry: bytes) -> bytes | None:
    """Return a frame of at most `MAX_BYTES`: as it is, or a reply whose fields are short and still of their types.

    Buffers and metadata go. `None` for what is too large and no message of a shell, control or stdin channel.
    """
    if len(entry) <= MAX_BYTES:
        return entry
    try:
        (message,) = decode_all(entry)
        if not isinstance(message, Message) or message.channel is Channel.IOPUB:
            return None
        content = parse_object(message.parts[3])
    except WireError:
        return None
    status = {"status": content["status"]} if "status" in content else {}
    tries = (_with_content(message, fields) for fields in (content, status))
    return next((short for short in tries if len(short) <= MAX_BYTES), None)


def _with_content(message: Message, fields: Mapping[str, object]) -> bytes:
    content = json.dumps({name: _shorten_value(value) for name, value in fields.items()})
    return encode(message._replace(parts=(*message.parts[:2], b"{}", content.encode())))


def _shorten_value(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
        return _UNFINISHED.sub("", value[:MAX_VALUE_CHARS]) + CUT
    if isinstance(value, list | dict) and len(json.dumps(value)) > MAX_VALUE_CHARS:
        return type(value)()
    return value
