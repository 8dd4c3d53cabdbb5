"""Finding of a check: its status, what was found, and the remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Status of a finding: `NOTE` is no fault, but somebody may wonder."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name, of one or two words.
        text: what is there; for a failure what is wrong, and the command or setting that mends it. Without secrets.
        seconds: how long it took to find out.
    """

    check: str
    status: Status
    text: str
    seconds: float = 0.0
