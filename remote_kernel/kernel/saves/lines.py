"""Parsers of the lines `%session save`, `restore`, `saves` and `autosave`."""

from dataclasses import dataclass
from enum import StrEnum

from remote_kernel.core.errors import UsageError
from remote_kernel.kernel.magics.command import Command, Verb
from remote_kernel.kernel.magics.session_command import USAGE, split

FORCE = "--force"
DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Restore:
    """Request to restore.

    Attributes:
        words: the name of a save, perhaps, and those of variables; which of them the first is depends on the saves.
        is_forced: whether other values are replaced without a question.
    """

    words: tuple[str, ...]
    is_forced: bool


class AutosaveAction(StrEnum):
    """Action of `%session autosave`."""

    STATUS = "status"
    ON = "on"
    OFF = "off"


def parse_save(command: Command) -> str:
    """Return the name for a save, "" for none; raises `UsageError`."""
    words = split(command.rest)
    _refuse_options(words, Verb.SAVE)
    if len(words) > 1:
        raise UsageError(f"One name for a save: {USAGE[Verb.SAVE][0]}. A name with spaces needs quotation marks.")
    return words[0] if words else ""


def parse_restore(command: Command) -> Restore:
    """Return what is to be restored; raises `UsageError`."""
    words = split(command.rest)
    others = [word for word in words if word != FORCE]
    _refuse_options(others, Verb.RESTORE)
    return Restore(tuple(others), is_forced=len(others) < len(words))


def parse_saves(command: Command) -> str:
    """Return the name of the save to remove, "" where they are to be listed; raises `UsageError`."""
    words = split(command.rest)
    if not words:
        return ""
    if words[0] != DELETE:
        raise UsageError(f"'{words[0]}' is not understood here: {USAGE[Verb.SAVES][0]}")
    if len(words) != 2:
        raise UsageError("Say which save, by its name: '%session saves' lists them, '%session saves delete NAME'.")
    return words[1]


def parse_autosave(command: Command) -> AutosaveAction:
    """Return what is to become of the autosave; raises `UsageError`."""
    try:
        return AutosaveAction(command.rest or AutosaveAction.STATUS)
    except ValueError:
        raise UsageError(f"'{command.rest}' is not understood here: {USAGE[Verb.AUTOSAVE][0]}") from None


def _refuse_options(words: list[str], verb: Verb) -> None:
    """Raise `UsageError` for a word that looks like an option, and is none here."""
    for word in words:
        if word.startswith("-"):
            raise UsageError(f"'{word}' is not understood here: {USAGE[verb][0]}")
