"""Calls that save and restore variables, a part of wire version 2: one definition for both ends.

    POST /api/v2/saves/calls    kernel, epoch, reader, job    the body is an `Order`; answered with a `CallState`
    GET  /api/v2/saves/calls    kernel, epoch, job            how far a call is: a `CallState`
    POST /api/v2/saves/cancel   kernel, epoch, job            end a call, and remove its files: a `CallState`

All take `pod=`, as the requests about files do, and are conditional on the epoch. What saves and restores is a program
of the client's, an archive that it sends as a file to `SAVES_FOLDER` in the data folder. The agent has the kernel's
interpreter call it, silently, and only while that runs nothing else: it answers that it `is_busy`, and has begun
nothing. `job` is a name that the client makes up for one call. The same order again is answered with the state of the
call, so that a request whose answer was lost can be repeated. Answers come after `WAIT_SECONDS` at the latest.

A call has a folder of its own, named by its job, in `SAVES_FOLDER`: what the program writes, the client fetches by the
requests about files. For a restore the client has sent objects to a folder that the order names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from remote_kernel.core.limits import SAVE_CALL
from remote_kernel.core.numbers import NAME, REMARK, Items, Pattern, Text
from remote_kernel.core.wire.fields import JsonAnswer, from_fields

# In the data folder; hidden, as it is nothing of the user's.
SAVES_FOLDER = ".saves"

# In the folder of a call.
MANIFEST_FILE = "manifest.json"
PROGRESS_FILE = "progress.json"
OBJECTS_FOLDER = "objects"

# A bridge looks for news every second, and does nothing else for a request that waits.
WAIT_SECONDS = 1.5

# `error.code` of the refusals that a client acts on.
PROGRAM_MISSING = "ProgramMissing"
CALL_MISSING = "CallMissing"

MAX_VARIABLES = SAVE_CALL.entries or 0
MAX_SENTENCES = 1_000
AROUND_BYTES = 100_000_000

_PROGRAM = Pattern(re.compile(r"program-[0-9a-f]{16}\.zip"))
_JOB = re.compile(r"[0-9a-f]{8,64}")
_JOB_OR_NONE = Pattern(re.compile(f"({_JOB.pattern})?"))
_WORD = Pattern(re.compile(r"[a-z][a-z_]{0,30}"))

_SENTENCE = Text(most=1_000)


def program_name(sha256: str) -> str:
    """Return what the file of a program is called that has this checksum, in hex."""
    return f"program-{sha256[:16]}.zip"


def is_job(name: str) -> bool:
    """Return whether a call, or a folder of objects, may have this name."""
    return _JOB.fullmatch(name) is not None


def job_folder(job: str) -> str:
    """Return the folder of a call, below the data folder."""
    return f"{SAVES_FOLDER}/{job}"


def objects_folder(name: str) -> str:
    """Return the folder of the objects of a restore, below the data folder."""
    return f"{SAVES_FOLDER}/objects-{name}"


# Of variables that belong together, unless all of them may be very large, or take very long.
_GROUP_BYTES, _GROUP_SECONDS = 1_000_000_000, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveLimits(JsonAnswer):
    """Limits of a save; what exceeds one is reported as lost.

    Attributes:
        group_bytes, group_seconds: of variables that belong together.
        total_bytes, total_seconds: of all.
        history_entries, history_bytes: of the cells and results that are kept as `In` and `Out`.
    """

    group_bytes: int = _GROUP_BYTES
    total_bytes: int = 2_000_000_000
    group_seconds: float = _GROUP_SECONDS
    total_seconds: float = 600.0
    history_entries: int = 1_000
    history_bytes: int = 10_000_000

    @classmethod
    def of(cls, total_bytes: int, total_seconds: float) -> "SaveLimits":
        """Return the limits for so much in all, by which those of variables that belong together grow."""
        return cls(
            group_bytes=max(_GROUP_BYTES, total_bytes // 2), total_bytes=total_bytes,
            group_seconds=max(_GROUP_SECONDS, total_seconds / 10), total_seconds=total_seconds,
        )  # fmt: skip

    @property
    def max_bytes(self) -> int:
        """The bytes of a whole save at most: with what is around its variables, and the headers of its packs."""
        return self.total_bytes * 5 // 4 + self.history_bytes + AROUND_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(JsonAnswer):
    """Order to call the program.

    Attributes:
        program: the name of its file.
        call: what it is to do, such as "save".
        arguments: for that; the agent adds paths.
        objects: the name of the folder with the objects of a restore; "" for none.
    """

    program: Annotated[str, _PROGRAM]
    call: Annotated[str, _WORD]
    arguments: dict[str, Any]
    objects: Annotated[str, _JOB_OR_NONE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgress(JsonAnswer):
    """Progress of a call, as the program tells it.

    Attributes:
        state: "running", "done" or "failed"; "" before it tells anything.
        step: what it does, such as "saving".
        name: the variable that it is at.
        done, total: variables.
        bytes: that were written.
        problem: why it has failed, in one sentence.
    """

    state: Annotated[str, REMARK] = ""
    step: Annotated[str, REMARK] = ""
    name: Annotated[str, REMARK] = ""
    done: int = 0
    total: int = 0
    bytes: int = 0
    problem: Annotated[str, _SENTENCE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState(JsonAnswer):
    """State of a call.

    Attributes:
        answer: what the program has returned, which may have left a process at work; {} before that.
        problem: why the call has failed, in one sentence; "" where it has not.
        is_busy: whether the interpreter does something else, so that nothing was begun.
    """

    pod: Annotated[str, NAME]
    is_done: bool
    answer: dict[str, Any] = field(default_factory=dict)
    problem: Annotated[str, _SENTENCE] = ""
    is_busy: bool = False
    progress: CallProgress = CallProgress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A variable that is back: its name and type, and the number of the cell that bound it, 0 where nobody knows."""

    name: Annotated[str, REMARK]
    type: Annotated[str, REMARK]
    cell: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A variable that is not back: its name, type and cell, as in `Restored`, and why, in one sentence."""

    name: Annotated[str, REMARK]
    type: Annotated[str, REMARK]
    reason: Annotated[str, _SENTENCE]
    cell: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(JsonAnswer):
    """Report on a restore.

    Attributes:
        warnings: sentences, such as about libraries of other versions.
        conflicts: variables that have other values now; where there are any, nothing was restored.
        more_restored, more_lost, more_conflicts: how many more there are than are listed.
    """

    restored: Annotated[list[Restored], Items(most=MAX_VARIABLES)] = field(default_factory=list)
    lost: Annotated[list[Lost], Items(most=MAX_VARIABLES)] = field(default_factory=list)
    warnings: Annotated[list[Annotated[str, _SENTENCE]], Items(most=MAX_SENTENCES)] = field(default_factory=list)
    conflicts: Annotated[list[Annotated[str, REMARK]], Items(most=MAX_VARIABLES)] = field(default_factory=list)
    more_restored: int = 0
    more_lost: int = 0
    more_conflicts: int = 0

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what the program has answered, of very long lists the beginning; raises `WireError`."""
        report: Self = from_fields(cls, cut_report(value if isinstance(value, Mapping) else {}, MAX_VARIABLES))
        return report

    @property
    def restored_count(self) -> int:
        """Number of variables that are back."""
        return len(self.restored) + self.more_restored

    @property
    def lost_count(self) -> int:
        """Number of variables that are not."""
        return len(self.lost) + self.more_lost

    @property
    def conflict_count(self) -> int:
        """Number of variables that have other values now."""
        return len(self.conflicts) + self.more_conflicts


def cut_report(fields: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Return a report as JSON has it whose lists of variables have so many at most, with the number of the others."""
    cut = dict(fields)
    for name, more in (("restored", "more_restored"), ("lost", "more_lost"), ("conflicts", "more_conflicts")):
        rows, others = cut.get(name), cut.get(more, 0)
        if isinstance(rows, list) and len(rows) > most and type(others) is int:
            cut |= {name: rows[:most], more: others + len(rows) - most}
    return cut
