"""`%session`: what a user can ask of the session from a cell, answered by the local kernel.

Only the words below are taken; anything else after `%session` goes to the kernel in the pod like any other code.
"""

import re
from enum import StrEnum


class Command(StrEnum):
    HELP = "help"
    RESET = "reset"
    RELEASE = "release"
    DETACH = "detach"
    MISSED = "missed"


HELP = """\
%session reset     give the pod back and take a new one: variables and files are gone
%session release   give the pod back; the next cell takes a new one
%session detach    stop talking to the session; the next cell finds it again if it is within the pool's cooldown
%session missed    show what cells printed that an earlier process of this kernel had sent

Interrupt stops a cell. Restart gives a fresh interpreter in the same pod, with its files. Shutdown is a release.
"""

NO_SESSION = "There is no session: the next cell starts one.\n"
RELEASED = "The session was given back, with its variables and files. The next cell starts in a new one.\n"
RESET = "The session was given back, with its variables and files. A new one is starting.\n"
STAYS = "The interpreter was shut down. Other notebooks use its pod, which stays with its files.\n"
DETACHED = "Detached. The session is kept for {seconds:.0f} s; until then the next cell finds it as it is.\n"
NOTHING_MISSED = "Nothing was missed.\n"

_COMMAND = re.compile(r"\s*%session(?:[ \t]+(\w+))?\s*")


def parse(code: object) -> Command | None:
    """Return the command that a cell consists of; `None` when it is for the pod."""
    match = _COMMAND.fullmatch(code) if isinstance(code, str) else None
    if match is None:
        return None
    try:
        return Command(match[1] or Command.HELP)
    except ValueError:
        return None
