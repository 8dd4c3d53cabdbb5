"""What a pod can make the kernel remember of it."""

import json
from datetime import UTC, datetime

from remote_kernel.core.jupyter.messages import Author, Header
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.output.orphaned_output import MAX_BYTES, MAX_CELLS, OrphanedOutput
from remote_kernel.kernel.output.session_notices import MAX_WAITING, SessionNotices
from remote_kernel.kernel.requests.request import KernelMessage, Request


def printed(number: int, text: str = "x", **header: str) -> KernelMessage:
    parent = json.dumps({"msg_id": f"cell-{number}", "msg_type": "execute_request", "session": "s", **header}).encode()
    parts = Author("pod").write("stream", {"name": "stdout", "text": text}, parent=parent, date=datetime.now(UTC))
    return KernelMessage.parse(Message(channel=Channel.IOPUB, parts=parts))


def test_only_so_many_cells_of_earlier_processes_are_listened_for() -> None:
    missed = OrphanedOutput()
    missed.open()
    for number in range(MAX_CELLS + 100):
        missed.note(printed(number))
    assert len(missed.messages) == MAX_CELLS


def test_a_cell_without_a_proper_id_is_not_listened_for() -> None:
    missed = OrphanedOutput()
    missed.open()
    missed.note(printed(0, msg_id="x" * 10_000))
    assert not missed.messages


def test_what_was_missed_is_the_newest_that_fits() -> None:
    missed = OrphanedOutput()
    missed.open()
    for _ in range(20):
        missed.note(printed(1, "x" * 1_000_000))
    assert sum(message.size for message in missed.messages) <= MAX_BYTES
    assert missed.dropped == 20 - len(missed.messages)


def test_what_was_missed_holds_no_memory_but_its_own() -> None:
    missed = OrphanedOutput()
    missed.open()
    said = printed(1)
    *head, content = said.message.parts
    whole = memoryview(bytes(1_000_000) + content)[1_000_000:]
    assert missed.note(said._replace(message=said.message._replace(parts=(*head, whole))))  # type: ignore[arg-type]
    (kept,) = missed.messages
    assert {*map(type, kept.parts)} == {bytes}
    assert kept.parts == said.message.parts


def test_what_is_too_large_to_be_kept_is_counted() -> None:
    missed = OrphanedOutput()
    missed.open()
    assert missed.note(printed(1, "x" * MAX_BYTES)), "the user is to hear of it"
    assert (len(missed.messages), missed.dropped, missed.has_any) == (0, 1, True)


def test_only_so_many_notes_wait_for_a_cell() -> None:
    notes = SessionNotices()
    for number in range(10_000):
        notes.tell(f"output was dropped, {number}")
    assert notes.take(None) == []
    info = Header(msg_id="a", msg_type="execute_request", session="", subshell_id="")
    cell = Request(channel=Channel.SHELL, prefixes=[], header=b"{}", info=info)
    assert len(notes.take(cell)) == MAX_WAITING
