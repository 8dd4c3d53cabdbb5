"""`%session`: its help, what may stand behind its verbs, and the sentences of its answers."""

import re
from dataclasses import dataclass
from enum import StrEnum

from remote_kernel.core.errors import UsageError
from remote_kernel.kernel.magics import command_line
from remote_kernel.kernel.magics.command import Command, Verb

USAGE = {
    Verb.CARD: ("%session", "where the cells run, since when, for how long, and how the pod is"),
    Verb.FILES: ("%session files [PATH]", "list the session's files"),
    Verb.UPLOAD: ("%session upload PATH… [--to DIR]", "send files and folders of this machine to the session"),
    Verb.DOWNLOAD: (
        "%session download PATH… [--to DIR] [--force]",
        "fetch files and folders of the session; --force replaces what is here and differs",
    ),
    Verb.INSTALL: (
        "%session install NAME… | -r FILE | --project",
        "install packages in the session, which needs no network: they are found and downloaded on this machine; "
        "--project: those that the project's settings name",
    ),
    Verb.SYNC: (
        "%session sync [on [DIR] | off | status]",
        "keep the notebook's folder, or one above it, the same in the session",
    ),
    Verb.SAVE: ("%session save [NAME]", "save the notebook's variables on this machine, where they outlive the pod"),
    Verb.RESTORE: (
        "%session restore [NAME] [VARIABLE…] [--force]",
        "bring variables back, from the newest save unless one is named; --force replaces those that are there",
    ),
    Verb.SAVES: ("%session saves [delete NAME]", "list the notebook's saves, or remove one"),
    Verb.AUTOSAVE: (
        "%session autosave [on | off | status]",
        "save by itself when the notebook falls idle, and before its variables go",
    ),
    Verb.KEEP: ("%session keep 2h", "keep the pod warm for so long from now; 'off' ends it"),
    Verb.RESET: ("%session reset", "give the pod back and take a new one: variables and files are gone"),
    Verb.RELEASE: ("%session release", "give the pod back; the next cell takes a new one"),
    Verb.DETACH: (
        "%session detach",
        "stop talking to the session; the next cell finds it again if it is within the pool's cooldown",
    ),
    Verb.MISSED: ("%session missed", "show what cells said that were left running, as by an earlier process"),
    Verb.HELP: ("%session help", "show this"),
}

_WIDTH = max(len(line) for line, _ in USAGE.values()) + 2

HELP = "\n".join(f"{line:<{_WIDTH}}{what}" for line, what in USAGE.values()) + (
    """

Tab completes the words and the paths. On this machine, paths are relative to the notebook's folder; in the session, to
the folder that cells run in. A transfer that was interrupted goes on where it stopped when its cell is run again. A
download without --force replaces nothing: what is here and differs is kept, and the session's file put beside it.

A line magic of this name in the pod's kernel is called by get_ipython().run_line_magic("session", "…").

Interrupt stops a cell. Restart gives a fresh interpreter in the same pod, with its files. Shutdown is a release.
"""
)

NO_SESSION = "There is no session: the next cell starts one."
RELEASED = "The session was given back, with its variables and files. The next cell starts in a new one."
RESET = "The session was given back, with its variables and files. A new one is starting."
STAYS = "The interpreter was shut down. Other notebooks use its pod, which stays with its files."
DETACHED = "Detached. The session is kept for {seconds:.0f} s; until then the next cell finds it as it is."
KEPT = "The pod is kept warm for {duration}, until {when}, for as long as this kernel runs and reaches the pool."
KEPT_AHEAD = "There is no session yet: the pod that the next cell takes is kept warm until {when}."
KEPT_NO_LONGER = "The pod is kept warm only as long as usual after the last cell."
NO_FILES = "There are no files: the session's folder is empty."
NO_WORKSPACE = (
    "There is no workspace. '%session sync on' keeps the notebook's folder the same here and in the session, "
    "'%session sync on DIR' a folder above it."
)
SYNC_OFF = "The workspace is off for this notebook. What was sent stays in the session until that ends."
NOTHING_MISSED = "Nothing was missed."

_UNITS = {"": 60.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*(?P<unit>s|m|min|h|d|)")

MAX_KEEP_SECONDS = 7 * 86400.0


def split(text: str) -> list[str]:
    """Return the words of what stands behind a verb, quoted as in a shell; raises `UsageError`."""
    try:
        return command_line.split(text)
    except ValueError:
        raise UsageError(
            "A quotation mark or a backslash has no partner: put names and paths with spaces in quotation marks, "
            "such as 'my data.csv'."
        ) from None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Request to upload or download.

    Attributes:
        to: the folder that it goes to; "" where the line names none.
        is_forced: whether a download replaces what is here and differs.
    """

    paths: list[str]
    to: str
    is_forced: bool


def parse_transfer(command: Command) -> Transfer:
    """Return what the line of an upload or download asks for; raises `UsageError`."""
    paths: list[str] = []
    to = ""
    is_forced = False
    words = split(command.rest)
    while words:
        word = words.pop(0)
        if word == "--":
            paths += words
            break
        if word == "--to" and words:
            to = words.pop(0)
        elif word.startswith("--to="):
            to = word.removeprefix("--to=")
        elif word == "--force" and command.verb is Verb.DOWNLOAD:
            is_forced = True
        elif word.startswith("--"):
            raise UsageError(f"'{word}' is not understood here: {_usage(command.verb)}")
        else:
            paths.append(word)
    if not paths:
        raise UsageError(f"Say which files: {_usage(command.verb)}")
    return Transfer(paths, to, is_forced)


@dataclass(frozen=True, slots=True)
class Install:
    """Request to install packages.

    Attributes:
        names: such as "numpy>=2", or the path of a wheel.
        files: of requirements.
        is_of_project: whether it is for what the project's settings name, and nothing else.
    """

    names: list[str]
    files: list[str]
    is_of_project: bool = False


def parse_install(command: Command) -> Install:
    """Return what the line of an installation asks for; raises `UsageError`."""
    names: list[str] = []
    files: list[str] = []
    words = split(command.rest)
    if words == ["--project"]:
        return Install(names, files, is_of_project=True)
    while words:
        word = words.pop(0)
        if word in {"-r", "--requirement"} and words:
            files.append(words.pop(0))
        elif word.startswith("-"):
            raise UsageError(f"'{word}' is not understood here: {_usage(command.verb)}")
        else:
            names.append(word)
    if not names and not files:
        raise UsageError(f"Say which packages: {_usage(command.verb)}")
    return Install(names, files)


def parse_files(command: Command) -> str:
    """Return the folder to list, "" for all; raises `UsageError`."""
    words = split(command.rest)
    if len(words) > 1:
        raise UsageError(f"One path at a time: {_usage(command.verb)}. Paths with spaces need quotation marks.")
    return words[0] if words else ""


class SyncAction(StrEnum):
    """Action of `%session sync`."""

    NOW = ""
    ON = "on"
    OFF = "off"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class SyncWish:
    """Request about the workspace; `folder` is that of "on", "." where the line names none."""

    action: SyncAction
    folder: str = "."


def parse_sync(command: Command) -> SyncWish:
    """Return what a line about the workspace asks for; raises `UsageError`."""
    words = split(command.rest)
    try:
        action = SyncAction(words[0] if words else "")
    except ValueError:
        raise UsageError(f"'{words[0]}' is not understood here: {_usage(Verb.SYNC)}") from None
    if len(words) > (2 if action is SyncAction.ON else 1):
        raise UsageError(f"That is too much: {_usage(Verb.SYNC)}. Paths with spaces need quotation marks.")
    return SyncWish(action, *words[1:])


def parse_keep(command: Command) -> float:
    """Return for how many seconds the pod is to be kept, 0 for "off"; raises `UsageError`."""
    text = command.rest.lower()
    match = _DURATION.fullmatch(text)
    seconds = float(match["number"]) * _UNITS[match["unit"]] if match else 0.0
    if (match is None and text != "off") or seconds > MAX_KEEP_SECONDS:
        raise UsageError("Say for how long, up to 7d: %session keep 45m, %session keep 2h, or %session keep off.")
    return seconds


def lost_by(others: int) -> str:
    """Return a sentence about the other kernels whose session was given back with ours; "" where there are none."""
    if not others:
        return ""
    who = "Another kernel" if others == 1 else f"{others} other kernels"
    return f" {who} used it as well and {'is' if others == 1 else 'are'} told."


def _usage(verb: Verb) -> str:
    return USAGE[verb][0]
