"""The report of a restore says of each variable what has become of it, in HTML and in text, however many there are."""

import re
import time
from dataclasses import replace

import pytest

from remote_kernel.core.errors import SessionLost
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.saves import Lost, Report, Restored
from remote_kernel.kernel.saves.report import HOW_TO_RESTORE, RestoreCard, describe_lost, rerun_line, show_saves
from remote_kernel.kernel.saves.words import amount, moment, remind, title, with_save

NOON = time.mktime((2026, 11, 30, 12, 5, 0, 0, 0, -1))
HOSTILE = "a\x1b]0;title\x07<script>\u202e\n.csv"


def report(*lost: Lost, restored: int = 2, warnings: list[str] | None = None) -> Report:
    back = [Restored(name=f"v{number}", type="int", cell=number) for number in range(restored)]
    return Report(restored=back, lost=list(lost), warnings=warnings or [], conflicts=[])


def lost(name: str, cell: int = 0, reason: str = "is a generator.") -> Lost:
    return Lost(name=name, type="generator", reason=reason, cell=cell)


def test_the_text_has_each_variable_with_its_reason_and_its_cell() -> None:
    told = report(lost("rows", 7), lost("connection", 4, "is a connection"), warnings=["pandas differs."])
    text = RestoreCard(report=told, source="the save of 12:05", took="Took 2 s.").shown().text
    assert text.splitlines() == [
        "Variables restored: 2 of 4 variables, from the save of 12:05.",
        "Restored: v0, v1",
        "Not restored: rows        is a generator (cell 7)",
        "Not restored: connection  is a connection (cell 4)",
        "Beware: pandas differs.",
        "Make them by: %rerun 4 7",
        "Nothing was run again. Took 2 s.",
    ]


def test_what_is_not_listed_is_counted() -> None:
    told = replace(report(lost("rows")), more_restored=60_000, more_lost=9)
    card = RestoreCard(report=told, source="the save of 12:05").shown()
    for form in (card.text, card.html):
        assert "60,002 of 60,012 variables" in form
        assert "and 59,962 more" in form
    assert describe_lost(replace(told, more_lost=10)).endswith("; and 1 more")


def test_the_card_has_the_same() -> None:
    told = report(lost("rows", 7), warnings=["pandas differs."])
    html = RestoreCard(report=told, source="the save of 12:05").shown().html
    for said in (
        "2 of 3 variables",
        "v0",
        "rows",
        "is a generator (cell 7)",
        "pandas differs.",
        "%rerun 7",
    ):
        assert said in html
    assert "--jp-warn-color1" in html
    assert "--jp-success-color1" in RestoreCard(report=report(), source="x").shown().html


def test_what_is_all_back_needs_few_words() -> None:
    text = RestoreCard(report=report(restored=1), source="the save of 12:05").shown().text
    assert text.splitlines() == [
        "Variables restored: 1 variable, from the save of 12:05.", "Restored: v0", "Nothing was run again."
    ]  # fmt: skip


def test_names_are_where_one_looks_for_them() -> None:
    back = [Restored(name=name, type="int", cell=1) for name in ("Stand", "days", "x", "Model", "array")]
    told = Report(restored=back, lost=[], warnings=[], conflicts=[])
    shown = RestoreCard(report=told, source="the save of 12:05").shown()
    assert "Restored: array, days, Model, Stand, x\n" in shown.text
    assert re.findall(r"<code[^>]*>(\w+)<", shown.html) == ["array", "days", "Model", "Stand", "x"]


def test_ten_thousand_variables_are_a_card_that_can_be_read() -> None:
    told = report(*(lost(f"l{number}") for number in range(5_000)), restored=10_000)
    shown = RestoreCard(report=told, source="the save of 12:05").shown()
    assert "10,000 of 15,000 variables" in shown.text
    assert ", and 9,960 more\n" in shown.text
    assert "and 4,950 more" in shown.text
    assert len(shown.text.splitlines()) < 60
    assert len(shown.html) < 30_000


def test_names_and_reasons_command_neither_terminal_nor_page() -> None:
    told = report(lost(HOSTILE, reason=HOSTILE), warnings=[HOSTILE])
    shown = RestoreCard(report=told, source="the save of 12:05").shown()
    assert "<script>" not in shown.html
    assert len(shown.text.splitlines()) == 5
    assert not set(shown.text + shown.html) & set("\x1b\x07\u202e")
    assert HOSTILE not in describe_lost(report(lost(HOSTILE)))


def test_cells_are_named_once_and_in_order() -> None:
    assert rerun_line([lost("a", 9), lost("b", 4), lost("c", 9), lost("d")]) == "%rerun 4 9"
    assert rerun_line([lost("d")]) == ""


def test_what_a_save_lacks_is_a_list_of_names_with_reasons() -> None:
    assert describe_lost(report(lost("rows"))) == "rows is a generator"
    assert describe_lost(report(*(lost(f"l{number}") for number in range(12)))).endswith("; and 2 more")


@pytest.mark.parametrize(
    ("before_seconds", "said"),
    [
        (0, r"12:05"),
        (3600, r"11:05"),
        (86_400, r"\w+ 12:05"),
        (40 * 86_400, r"2026-10-21 1[123]:05"),
        (-86_400, r"2026-12-01 12:05"),
    ],
)
def test_a_time_is_said_as_people_say_it(before_seconds: float, said: str) -> None:
    assert re.fullmatch(said, moment(NOON - before_seconds, NOON))


def save(**fields: object) -> Save:
    given = {"id": "0123abcd", "saved_at": NOON, "manifest": Manifest(saved=14, lost_count=1)} | fields
    return Save(**given)  # type: ignore[arg-type]


def test_a_lost_session_names_the_newest_save() -> None:
    loss = SessionLost("The remote session is gone.")
    said = str(with_save(loss, save(), NOON, is_automatic=False))
    assert said == (
        "The remote session is gone. Or '%session restore' brings back the save of 12:05: 14 of 15 variables."
    )
    said = str(with_save(loss, save(name="lunch"), NOON, is_automatic=True))
    assert said.endswith("gone. The next cell begins with the save 'lunch' of 12:05: 14 of 15 variables.")
    assert amount(Manifest(saved=1)) == "1 variable"


def test_a_new_session_names_the_newest_save() -> None:
    assert remind(save(), NOON) == (
        "This session is new: '%session restore' brings back the save of 12:05: 14 of 15 variables."
    )
    larger = " An older one has much more: '%session saves' lists it."
    assert remind(save(), NOON, has_larger=True) == remind(save(), NOON) + larger
    loss = SessionLost("The remote session is gone.")
    assert str(with_save(loss, save(), NOON, is_automatic=False, has_larger=True)).endswith("15 variables." + larger)


def test_a_save_is_called_by_its_name_and_its_time() -> None:
    assert title(save(name="lunch"), NOON) == "the save 'lunch' of 12:05"
    assert title(save(), NOON) == "the save of 12:05"


def test_the_table_has_each_save_and_says_which_cannot_be_used() -> None:
    saves = [
        save(name="lunch"),
        save(id="deadbeef", manifest=Manifest(), problem="The save x is not used: it was changed."),
    ]
    shown = show_saves(saves, saves[0], NOON)
    assert shown.text.splitlines() == [
        "lunch     12:05  14 of 15 variables  0 B",
        "deadbeef  12:05  cannot be used",
        f"2 saves of this notebook. {HOW_TO_RESTORE.format(which='the newest')} "
        "The save x is not used: it was changed.",
    ]
    assert "<table" in shown.html


def test_the_table_says_which_save_is_meant_where_that_is_not_the_newest() -> None:
    saves = [save(), save(name="lunch")]
    assert "'%session restore' brings back the save 'lunch' of 12:05, and" in show_saves(saves, saves[1], NOON).text
