"""`POST /api/v2/execute`: one cell, its Jupyter messages as lines of JSON while it runs."""

import base64
import json
import secrets
from collections.abc import AsyncIterator

from remote_kernel.core.jupyter import Author, parse_header, parse_object
from remote_kernel.core.wire import Channel, EpochChange, Message
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels import PodKernel


async def stream_execution(kernel: PodKernel, code: str) -> AsyncIterator[bytes]:
    """Execute `code` and yield a line for each message of it, the `execute_reply` last.

    The cell goes on running when the reader goes away. Where the interpreter dies, the last line is an
    `execute_reply` of status "error" that says so.
    """
    session = secrets.token_hex(8)
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    request = Author(session).write("execute_request", content, date=utc_now())
    msg_id = parse_header(request[0]).msg_id
    listener = kernel.listen(msg_id)
    try:
        message = Message(channel=Channel.SHELL, parts=request, sequence=1, seen=kernel.journal.last_sequence)
        await kernel.accept([message], sender=session, epoch=kernel.epoch)
        reply: Message | None = None
        is_idle = False
        while reply is None or not is_idle:
            event = await listener.messages.get()
            if isinstance(event, EpochChange):
                yield to_line(_died(request[0], event))
                return
            if event.channel is Channel.SHELL:
                reply = event
                continue
            is_idle = is_idle or _says_idle(event)
            yield to_line(event)
        yield to_line(reply)
    finally:
        kernel.forget(msg_id)


def _says_idle(message: Message) -> bool:
    return b'"idle"' in message.parts[3] and parse_header(message.parts[0]).msg_type == "status"


def _died(parent: bytes, change: EpochChange) -> Message:
    evalue = f"The interpreter ended ({change.detail or change.reason}); its variables are gone."
    content = {"status": "error", "ename": "SessionLost", "evalue": evalue, "traceback": []}
    parts = Author("agent").write("execute_reply", content, parent=parent, date=utc_now())
    return Message(channel=Channel.SHELL, parts=parts)


def to_line(message: Message) -> bytes:
    """Return a message as one line of JSON, with Jupyter's names; buffers are base64."""
    header = parse_object(message.parts[0])
    fields = {
        "channel": message.channel.name.lower(),
        "msg_type": header.get("msg_type"),
        "header": header,
        "parent_header": parse_object(message.parts[1]),
        "metadata": parse_object(message.parts[2]),
        "content": parse_object(message.parts[3]),
        "buffers": [base64.b64encode(buffer).decode() for buffer in message.parts[4:]],
    }
    return json.dumps(fields).encode() + b"\n"
