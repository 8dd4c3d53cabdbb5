"""Numbers and names from outside, checked where they enter.

A dataclass that is read from JSON says in the annotation of a field what it may be: `Annotated[float, COOLDOWN]`. A
number that has no such annotation is held to `COUNT` or `AMOUNT`; what is in a list or a dictionary is looked at where
it has one. A number that is only shown, or only says when to do something of ours, is brought into its range; any other
one costs the answer that it stands in.
"""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from remote_kernel.core.errors import WireError

# Positions in a journal: what fits into eight bytes with a sign, and into the 19 digits that a parameter may have.
MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Range of a number.

    Attributes:
        is_clamped: whether a number outside counts as the nearest one inside; otherwise it is refused.
    """

    least: float
    most: float
    is_clamped: bool = False

    def check(self, value: object, name: str) -> float:
        """Return a number (of the same type) that is in the range; raises `WireError`, also for what is none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WireError(f"{name} is not a number")
        if not (isinstance(value, int) or math.isfinite(value)):
            raise WireError(f"{name} is not a finite number")
        if self.least <= value <= self.most:
            return value
        if not self.is_clamped:
            raise WireError(f"{name} is out of range")
        nearest = self.least if value < self.least else self.most
        return type(value)(nearest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Bounds of a text.

    Attributes:
        is_name: whether it has to be printable and of this length; of any other text the rest is left out.
        may_be_empty: whether a name may be "".
    """

    most: int
    is_name: bool = False
    may_be_empty: bool = True

    def check(self, value: object, name: str) -> str:
        """Return a text that is as it may be; raises `WireError`, also for what is none."""
        if not isinstance(value, str):
            raise WireError(f"{name} is not a text")
        if not self.is_name:
            return "".join(filter(str.isprintable, value[: self.most]))
        if not (len(value) <= self.most and value.isprintable() and (value or self.may_be_empty)):
            raise WireError(f"{name} is no name")
        return value


class Pattern(NamedTuple):
    """Form of a text, as a regular expression for all of it."""

    regex: re.Pattern[str]

    def check(self, value: object, name: str) -> str:
        """Return a text of this form; raises `WireError` for anything else."""
        if not isinstance(value, str) or self.regex.fullmatch(value) is None:
            raise WireError(f"{name} does not have the form of one")
        return value


class Items(NamedTuple):
    """Bounds of a list, or of an object as a dictionary; what is in it is checked as its own type says.

    Attributes:
        is_cut: whether of a longer list the first ones are taken; otherwise it is refused.
    """

    most: int
    is_cut: bool = False


class Below(NamedTuple):
    """Bounds of a path to something below a folder: relative, with "/" between its parts, and none of them "..".

    The names in it may be anything else that is Unicode, control characters included.
    """

    most: int

    def check(self, value: object, name: str) -> str:
        """Return a path that stays below its folder; raises `WireError` for anything else."""
        if not isinstance(value, str) or len(value) > self.most or "\0" in value:
            raise WireError(f"{name} is not a path")
        if not {"", ".", ".."}.isdisjoint(value.split("/")):
            raise WireError(f"{name} is not the path of something below a folder")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WireError(f"{name} is no Unicode") from None
        return value


COUNT = Range(least=0, most=MAX_SEQUENCE)
AMOUNT = Range(least=0.0, most=1e15)

# Azure allows 300 to 3,600 s; local pools for trials have a few. Every third of it a pod is called that is kept warm.
COOLDOWN = Range(least=1.0, most=86_400.0, is_clamped=True)
# No session is older than ten years, and times before this world's clocks are of no use.
AGE = Range(least=0.0, most=10 * 365.25 * 86_400, is_clamped=True)
# Seconds since 1970, to the beginning of the year 3000, with which the calendar of Windows' library ends.
MOMENT = Range(least=0.0, most=32_503_680_000.0, is_clamped=True)
# A full pool is asked again after so long at the latest, whatever it says.
RETRY_AFTER = Range(least=0.0, most=60.0, is_clamped=True)

# What names an interpreter's life goes into every request.
EPOCH = Text(most=128, is_name=True, may_be_empty=False)
NAME = Text(most=128, is_name=True)
REMARK = Text(most=200)
# Compared with other versions, and sent back.
VERSION = Text(most=128, is_name=True)
# As long as Linux allows.
BELOW = Below(most=4096)
