"""What a pod can make the kernel remember of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output.orphaned_output import MAX_BYTES, MAX_CELLS, OrphanedOutput
from remote_kernel.kernel.output.session_notices import MAX_WAITING, SessionNotices


class Said:
    """Takes what is published."""

    def __init__(self) -> None:
        self.contents: list[Mapping[str, Any]] = []

    def say(self, _msg_type: str, content: Mapping[str, Any], _parent: bytes) -> None:
        self.contents.append(content)


def printed(number: int, text: str = "x") -> Message:
    parent = json.dumps({"msg_id": f"cell-{number}", "msg_type": "execute_request", "session": "s"}).encode()
    parts = Author("pod").write("stream", {"name": "stdout", "text": text}, parent=parent, date=datetime.now(UTC))
    return Message(channel=Channel.IOPUB, parts=parts)


def test_only_so_many_cells_of_earlier_processes_are_listened_for() -> None:
    missed = OrphanedOutput()
    missed.open()
    for number in range(MAX_CELLS + 100):
        missed.note(printed(number))
    assert len(missed.messages) == MAX_CELLS


def test_a_cell_without_a_proper_id_is_not_listened_for() -> None:
    missed = OrphanedOutput()
    missed.open()
    message = printed(0)
    header = json.dumps({"msg_id": "x" * 10_000, "session": "s"}).encode()
    missed.note(Message(channel=Channel.IOPUB, parts=(message.parts[0], header, *message.parts[2:])))
    assert not missed.messages


def test_what_was_missed_is_the_newest_that_fits() -> None:
    missed = OrphanedOutput()
    missed.open()
    for _ in range(20):
        missed.note(printed(1, "x" * 1_000_000))
    assert sum(message.size for message in missed.messages) <= MAX_BYTES
    assert missed.dropped == 20 - len(missed.messages)


def test_only_so_many_notes_wait_for_a_cell() -> None:
    said = Said()
    notes = SessionNotices(cast(Channels, said), lambda: running)
    running: Any = None
    for number in range(10_000):
        notes.tell(f"output was dropped, {number}")
    assert said.contents == []
    running = SimpleNamespace(header=b"{}")
    notes.show()
    assert len(said.contents) == MAX_WAITING
