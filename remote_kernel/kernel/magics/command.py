"""The `%session` line of a cell: whether it is one, and its verb.

A cell that is one such line is ours, whatever stands behind the name. A line magic of the same name in the pod's kernel
is called by `get_ipython().run_line_magic`.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from remote_kernel.core.errors import UsageError

NAME = "%session"

_LINE = re.compile(
    r"\s*%session(?![^\s?])(?:[ \t]+(?P<word>[^\s?]\S*?)(?P<rest>[ \t][^\n]*)?)?[ \t]*(?P<question>\?{0,2})\s*"
)


class Verb(StrEnum):
    """The first word behind `%session`."""

    CARD = ""
    FILES = "files"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    INSTALL = "install"
    SYNC = "sync"
    SAVE = "save"
    RESTORE = "restore"
    SAVES = "saves"
    AUTOSAVE = "autosave"
    KEEP = "keep"
    RESET = "reset"
    RELEASE = "release"
    DETACH = "detach"
    MISSED = "missed"
    HELP = "help"


_TAKE_ARGUMENTS = frozenset(
    {
        *(Verb.FILES, Verb.UPLOAD, Verb.DOWNLOAD, Verb.INSTALL, Verb.SYNC, Verb.KEEP),
        *(Verb.SAVE, Verb.RESTORE, Verb.SAVES, Verb.AUTOSAVE),
    }
)


class Command(NamedTuple):
    """A `%session` line.

    Attributes:
        word: the first word behind `%session`, of which some are verbs.
        rest: what stands behind that, as it was typed.
    """

    word: str
    rest: str = ""

    @property
    def verb(self) -> Verb:
        """Return what is to be done; raises `UsageError` where the line does not say."""
        try:
            verb = Verb(self.word)
        except ValueError:
            from difflib import get_close_matches  # late, as the start of a kernel waits for imports

            near = get_close_matches(self.word.lower(), [verb for verb in Verb if verb], n=1, cutoff=0.5)
            meant = f"Did you mean '%session {near[0]}'? " if near else ""
            raise UsageError(
                f"There is no '%session {self.word}'. {meant}'%session help' lists what there is."
            ) from None
        if self.rest and verb not in _TAKE_ARGUMENTS:
            raise UsageError(f"Nothing may stand behind '%session {verb}'. '%session help' lists what there is.")
        return verb


def parse_command(code: object) -> Command | None:
    """Return the command that a cell consists of; `None` when it is for the pod."""
    match = _LINE.fullmatch(code) if isinstance(code, str) else None
    if match is None:
        return None
    return Command(Verb.HELP) if match["question"] else Command(match["word"] or "", (match["rest"] or "").strip())
