"""Totals of a workspace: how many files have gone which way since the kernel started."""

from typing import Any, NamedTuple, Self

# By which the inspection of a `%session` line tells them to programs.
MEDIA_TYPE = "application/vnd.remote-kernel.workspace+json"


class Totals(NamedTuple):
    """Numbers of files: sent, fetched, and changed on both sides, so that they are here twice now."""

    up: int = 0
    down: int = 0
    kept_twice: int = 0

    @classmethod
    def parse(cls, fields: Any) -> Self | None:
        """Read JSON; `None` for anything else."""
        numbers = [fields.get(name) for name in cls._fields] if isinstance(fields, dict) else [None]
        return cls(*numbers) if all(type(number) is int and number >= 0 for number in numbers) else None

    def to_json(self) -> dict[str, int]:
        """Return the numbers by their names."""
        return self._asdict()

    def describe(self) -> str:
        """Return them for people; "" where there are none."""
        kinds = ((self.up, "up"), (self.down, "down"), (self.kept_twice, "kept twice"))
        return ", ".join(f"{number:,} {kind}" for number, kind in kinds if number)
