"""Lines about saves: what is understood, and what is said of the rest."""

import pytest

from remote_kernel.core.errors import UsageError
from remote_kernel.kernel.magics.command import Command, parse_command
from remote_kernel.kernel.saves.lines import (
    AutosaveAction,
    Restore,
    parse_autosave,
    parse_restore,
    parse_save,
    parse_saves,
)


def command(line: str) -> Command:
    parsed = parse_command(line)
    assert parsed is not None
    assert parsed.verb
    return parsed


def test_lines_are_understood() -> None:
    assert parse_save(command("%session save")) == ""
    assert parse_save(command("%session save 'before lunch'")) == "before lunch"
    assert parse_restore(command("%session restore")) == Restore((), is_forced=False)
    assert parse_restore(command("%session restore --force lunch df x")) == Restore(
        ("lunch", "df", "x"), is_forced=True
    )
    assert parse_saves(command("%session saves")) == ""
    assert parse_saves(command("%session saves delete 'before lunch'")) == "before lunch"
    assert parse_autosave(command("%session autosave")) is AutosaveAction.STATUS
    assert parse_autosave(command("%session autosave off")) is AutosaveAction.OFF


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%session save a b", "One name for a save: %session save [NAME]. A name with spaces"),
        ("%session save --force", "'--force' is not understood here: %session save [NAME]"),
        ("%session restore --all", "'--all' is not understood here: %session restore"),
        ("%session restore 'a", "A quotation mark or a backslash has no partner"),
        ("%session saves remove a", "'remove' is not understood here: %session saves [delete NAME]"),
        ("%session saves delete", "Say which save, by its name"),
        ("%session saves delete a b", "Say which save, by its name"),
        ("%session autosave daily", "'daily' is not understood here: %session autosave [on | off | status]"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(line: str, said: str) -> None:
    parsers = {"save": parse_save, "restore": parse_restore, "saves": parse_saves, "autosave": parse_autosave}
    asked = command(line)
    with pytest.raises(UsageError) as raised:
        parsers[asked.word](asked)
    assert said in str(raised.value)
