"""The time line follows one message through every process that it passes."""

from pathlib import Path

import pytest

from benchmarks.timeline import FRONT_END, INTERPRETER, LANES, STEPS, SessionNotices, draw, follow, measure, stays_of

pytestmark = pytest.mark.slow

OUR_LANES = [lane for lane in LANES if lane not in {FRONT_END, INTERPRETER}]


def test_a_cell_passes_every_process_on_its_way_up_and_down(tmp_path: Path) -> None:
    cells = measure(3)
    assert [len(times) for times in cells] == [len(STEPS)] * 3
    stays = stays_of(cells)
    assert [stay.lane for stay in stays] == [*LANES, *LANES[-2::-1]]
    assert all(stay.begin < stay.end for stay in stays if stay.lane in OUR_LANES)
    assert [stay.begin for stay in stays] == sorted(stay.begin for stay in stays)
    draw(stays, tmp_path / "timeline.svg")
    assert "</svg>" in (tmp_path / "timeline.svg").read_text()


def test_a_cell_of_which_a_passage_is_missing_is_left_out() -> None:
    notes: SessionNotices = {(step.lane, step.point): [] for step in STEPS}
    for number, step in enumerate(STEPS):
        notes[step.lane, step.point].append((step.message, number))
    assert follow(notes, 0, len(STEPS) - 1) == list(range(len(STEPS)))
    notes["pool", "Connection.request"].clear()
    assert follow(notes, 0, len(STEPS) - 1) is None
