"""Which cells a kernel is busy with, and which are not to run."""

import json

import pytest

from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Header
from remote_kernel.pod.kernels.cells import ALL_SEEN, MAX_REVOKED, Cells

ERROR, OK = b'{"status": "error"}', b'{"status": "ok"}'


def header(msg_id: str, subshell_id: str = "") -> Header:
    return Header(msg_id=msg_id, msg_type="execute_request", session="s", subshell_id=subshell_id)


def parent(msg_id: str) -> bytes:
    return json.dumps({"msg_id": msg_id}).encode()


def with_cells(*names: str, running: str = "") -> Cells:
    cells = Cells()
    for name in names:
        cells.add(header(name), b"{}")
    if running and (cell := cells.of(parent(running))):
        cell.began_at = 5
    return cells


@pytest.mark.parametrize(
    ("content", "reply", "is_refused"),
    [
        (b"{}", ERROR, True),
        (b"{}", OK, False),
        (b'{"stop_on_error": false}', ERROR, False),
        (b'{"silent": true}', ERROR, False),
        (b"no JSON", ERROR, True),
    ],
)
def test_what_was_sent_before_an_error_could_be_seen_is_refused(content: bytes, reply: bytes, is_refused: bool) -> None:
    cells = Cells()
    cells.add(header("a"), content)
    cells.end(parent("a"), reply)
    assert cells.are_refused(header("b"), 10) == is_refused
    cells.note_shown(parent("a"), 10)
    cells.note_shown(parent("c"), 20)
    assert cells.are_refused(header("b"), 9) == is_refused
    assert not cells.are_refused(header("b"), 10)
    assert not cells.are_refused(header("b", "another subshell"), 9)


def test_error_is_shown_by_its_own_reply_and_hidden_from_nobody_who_has_seen_all() -> None:
    cells = Cells()
    cells.add(header("a", "sub"), b"{}")
    cells.end(parent("a"), ERROR)  # whose kernel does not say of which subshell it is
    cells.note_shown(parent("completion"), 3)
    assert cells.are_refused(header("b", "sub"), 3)
    assert not cells.are_refused(header("b", "sub"), ALL_SEEN)
    cells.note_shown(parent("a"), 5)
    assert [cells.are_refused(header("b", "sub"), seen) for seen in (4, 5)] == [True, False]


def test_error_of_a_cell_that_was_given_up_refuses_nothing() -> None:
    cells = with_cells("a", running="a")
    assert cells.are_hit(Aim(cells=frozenset({"a"}), is_exclusive=True), 0)
    assert cells.has_unwanted
    cells.end(parent("a"), ERROR)
    assert not cells.are_refused(header("b"), 9)
    assert cells.has_unwanted, "until it is idle, ipykernel aborts what comes"
    cells.note_idle(parent("b"))
    assert cells.has_unwanted
    cells.note_idle(parent("a"))
    assert not cells.has_unwanted


@pytest.mark.parametrize(
    ("aim", "seen", "is_hit"),
    [
        (Aim(), 4, False),
        (Aim(), 5, True),
        (Aim(cells=frozenset({"a"})), 0, True),
        (Aim(cells=frozenset({"b"})), 0, False),  # it waits behind one that nobody here has seen begin
        (Aim(cells=frozenset({"b"})), 5, True),
        (Aim(cells=frozenset({"z"})), 4, False),
        (Aim(cells=frozenset({"a"}), is_exclusive=True), 0, True),
        (Aim(cells=frozenset({"b"}), is_exclusive=True), 9, False),
    ],
)
def test_interrupt_hits_what_it_is_for(aim: Aim, seen: int, is_hit: bool) -> None:
    assert with_cells("a", "b", running="a").are_hit(aim, seen) == is_hit


def test_interrupt_of_whatever_runs_hits_no_cell_that_is_about_to_begin() -> None:
    """A front end's interrupt before a restart may reach the kernel that follows, and find its first cell."""
    assert Cells().are_hit(Aim(), 0), "a message of a widget may be at work"
    assert not with_cells("a").are_hit(Aim(), 9)


def test_interrupt_of_one_cell_alone_hits_once() -> None:
    cells = with_cells("a", running="a")
    aim = Aim(cells=frozenset({"a"}), is_exclusive=True)
    assert [cells.are_hit(aim, 0), cells.are_hit(aim, 0)] == [True, False]


def test_cell_that_was_given_up_before_it_arrives_is_refused_and_the_oldest_of_many_forgotten() -> None:
    cells = Cells()
    for number in range(MAX_REVOKED + 1):
        assert not cells.are_hit(Aim(cells=frozenset({f"cell {number}"}), is_exclusive=True), 0)
    assert not cells.are_refused(header("cell 0"), 0)
    assert cells.are_refused(header(f"cell {MAX_REVOKED}"), 0)


def test_kernel_is_busy_until_each_cell_is_idle_or_replied_to() -> None:
    cells = with_cells("a", "b")
    assert cells.of(parent("z")) is None
    cell = cells.of(parent("a"))
    assert cell is not None
    cell.is_idle = True
    assert cells.is_busy
    assert cells.end(parent("b"), OK) is not None
    assert not cells.is_busy
    assert cell in cells
    cells.clear()
    assert cell not in cells
