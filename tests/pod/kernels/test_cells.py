"""Which cells a kernel is busy with, and which are not to run."""

import json

import pytest

from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Header
from remote_kernel.pod.kernels.cells import ALL_SEEN, MAX_REVOKED, Cell, Cells

ERROR, OK = b'{"status": "error"}', b'{"status": "ok"}'


def header(msg_id: str, subshell_id: str = "") -> Header:
    return Header(msg_id=msg_id, msg_type="execute_request", session="s", subshell_id=subshell_id)


def parent(msg_id: str) -> bytes:
    return json.dumps({"msg_id": msg_id}).encode()


def with_cells(*names: str, running: str = "") -> Cells:
    cells = Cells()
    for name in names:
        cells.add(header(name), b"{}")
    if running:
        begin(cells, running)
    return cells


def begin(cells: Cells, name: str) -> Cell:
    cell = cells.of(parent(name))
    assert cell is not None
    cell.began_at = 5
    return cell


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


def test_interrupt_is_kept_for_a_cell_that_waits_and_refuses_one_that_has_not_arrived() -> None:
    """They travel in two queues, so that either may be the first; a kernel that has not begun ignores a signal."""
    cells, aim = with_cells("a"), Aim(cells=frozenset({"a", "late"}))
    assert not cells.are_hit(aim, 9)
    cell = begin(cells, "a")
    assert cell.aim is aim
    assert not cell.is_unwanted, "its front end waits for it, and its error aborts what is behind it"
    assert [cells.are_refused(header("late"), 9) for _ in range(2)] == [True, False], "ids need not be unique"


def test_interrupt_is_kept_for_a_cell_behind_one_that_it_is_not_for() -> None:
    cells = with_cells("others", "a", running="others")
    aim = Aim(cells=frozenset({"a", "late"}))
    assert not cells.are_hit(aim, 0)
    assert cells.are_refused(header("late"), 9)
    assert begin(cells, "a").aim is aim
    assert not cells.are_kept_waiting(aim), "another cell runs"


def test_interrupt_of_a_running_cell_is_for_none_behind_it() -> None:
    """In any kernel, what is behind is aborted by its error, or runs where it catches that."""
    cells = with_cells("a", "b", running="a")
    assert cells.are_hit(Aim(cells=frozenset({"a", "b", "late"})), 0)
    assert begin(cells, "b").aim is None
    assert not cells.are_refused(header("late"), 9)


def test_interrupt_of_several_cells_that_wait_hits_one_and_each_that_nobody_waits_for() -> None:
    for is_exclusive in (False, True):
        cells = with_cells("a", "b", "c")
        aim = Aim(cells=frozenset({"a", "b", "c"}), is_exclusive=is_exclusive)
        assert not cells.are_hit(aim, 9)
        begin(cells, "a")
        cells.end(parent("a"), OK)  # it was faster
        cells.note_hit(begin(cells, "b"))
        assert (begin(cells, "c").aim is aim) == is_exclusive


@pytest.mark.parametrize("is_exclusive", [False, True])
def test_cell_that_is_about_to_be_interrupted_is_not_hit_twice(is_exclusive: bool) -> None:
    cells = with_cells("a")
    aim = Aim(cells=frozenset({"a"}))
    cells.are_hit(aim, 9)
    cell = begin(cells, "a")
    assert not cells.are_hit(aim._replace(is_exclusive=is_exclusive), 9)
    cells.note_hit(cell)
    assert cells.are_hit(aim, 9), "a user may do it again"


def test_what_is_no_cell_keeps_cells_from_beginning_that_are_to_be_interrupted() -> None:
    cells, aim = with_cells("a"), Aim(cells=frozenset({"a"}))
    assert not cells.are_kept_waiting(aim)
    cells.are_hit(aim, 9)
    assert cells.are_kept_waiting(aim)
    begin(cells, "a")
    assert not cells.are_kept_waiting(aim)


def test_two_cells_with_one_message_id_are_two() -> None:
    cells = Cells()
    cells.add(header("a"), b"{}")
    cells.add(header("a"), b'{"silent": true}')
    first = begin(cells, "a")
    assert cells.end(parent("a"), OK) is first
    second = begin(cells, "a")
    assert (second is first, second.content, cells.is_busy) == (False, b'{"silent": true}', True)
    assert cells.are_hit(Aim(cells=frozenset({"a"})), 0)
    assert cells.end(parent("a"), OK) is second
    assert not cells.is_busy


def test_status_is_of_the_cell_that_is_not_idle() -> None:
    cells = Cells()
    cells.add(header("a"), b"{}")
    cells.add(header("a"), b"{}")
    first = begin(cells, "a")
    first.is_idle = True  # ahead of its reply
    second = begin(cells, "a")
    assert cells.end(parent("a"), OK) is first
    assert cells.running is second


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
