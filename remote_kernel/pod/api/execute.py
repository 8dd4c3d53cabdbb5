"""`POST /api/v2/execute`: one cell, its Jupyter messages as lines of JSON while it runs."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable

from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object, parse_parent
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire.codec import decode_all
from remote_kernel.core.wire.frames import Channel, EpochChange, Gap, Message
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels.pod_kernel import PodKernel

# One read of the journal; small enough for the other kernels to have their turn.
MAX_BATCH_BYTES = 1024 * 1024


async def stream_execution(kernel: PodKernel, code: str, is_stopping: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Execute `code` and yield a line for each message of it: see `run_cell`."""
    async for message in run_cell(kernel, code, is_stopping):
        yield to_line(message)


async def run_cell(
    kernel: PodKernel, code: str, is_stopping: Callable[[], bool] = lambda: False
) -> AsyncIterator[Message]:
    """Execute `code` and yield each message of it, the `execute_reply` last.

    The cell goes on running when the reader goes away. Where the interpreter dies, or the pod is about to go, the last
    message is an `execute_reply` of status "error" that says so.
    """
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    request = Author(secrets.token_hex(8)).write("execute_request", content, date=utc_now())
    msg_id = parse_header(request[0]).msg_id
    cursor = kernel.journal.last_sequence
    await kernel.request(Channel.SHELL, request)
    reply: Message | None = None
    is_idle = False
    with kernel.readers.listening() as took:
        while True:
            wakeup = kernel.readers.wakeups.next
            batch = kernel.journal.read(cursor, MAX_BATCH_BYTES)
            if batch.gap is not None:
                yield _dropped(request[0], batch.gap)
            if not batch.entries:
                if is_stopping():
                    yield _lost(request[0], "its pod is stopped")
                    return
                await wakeup.wait()
                continue
            cursor = batch.cursor
            for event in decode_all(b"".join(batch.entries)):
                if isinstance(event, EpochChange):
                    yield _lost(request[0], event.detail or event.reason)
                    return
                if not isinstance(event, Message) or parse_parent(event.parts[1]).msg_id != msg_id:
                    continue
                if event.channel is Channel.SHELL:
                    reply = event
                else:
                    is_idle = is_idle or _says_idle(event)
                    yield event
                if reply is not None and is_idle:
                    yield reply
                    return
            took(batch)


def _dropped(parent: bytes, gap: Gap) -> Message:
    text = f"\n[{count_of(gap.last - gap.first + 1, 'message')} dropped here]\n"
    parts = Author("agent").write("stream", {"name": "stderr", "text": text}, parent=parent, date=utc_now())
    return Message(channel=Channel.IOPUB, parts=parts)


def _says_idle(message: Message) -> bool:
    return b'"idle"' in bytes(message.parts[3]) and parse_header(message.parts[0]).msg_type == "status"


def _lost(parent: bytes, why: str) -> Message:
    evalue = f"The interpreter ended ({why}); its variables are gone."
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
