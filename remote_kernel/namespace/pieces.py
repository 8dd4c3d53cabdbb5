"""Pieces of a save: what was taken of variables, alone or with those that share objects, and what is lost and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remote_kernel.namespace import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remote_kernel.namespace.files.objects import Reference


class Pieces:
    """Pieces of one save.

    Args:
        total_bytes: of the whole save.

    Attributes:
        taken: what a worker has answered of each, by the names of its variables.
        lost: the reasons, by name.
        sizes: bytes of each variable alone; of those that are together, too.
        bytes: of all that was taken.
    """

    def __init__(self, total_bytes: int) -> None:
        self.taken: dict[tuple[str, ...], dict[str, Any]] = {}
        self.lost: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.bytes = 0
        self._total_bytes = total_bytes
        self._seen: set[str] = set()

    def add(self, names: tuple[str, ...], answer: dict[str, Any]) -> bool:
        """Add what a worker has answered; return whether it could be taken."""
        reason = answer.get("lost") or self._exceeds(answer)
        if reason:
            self.lose(names, reason)
            return False
        self.taken[names] = answer
        if len(names) == 1:
            self.sizes[names[0]] = answer["size"]
        return True

    def _exceeds(self, answer: dict[str, Any]) -> str:
        """Count a piece; return why it is not taken if the save would be too large."""
        buffers = dict(flat(answer["buffers"]))
        new = sum(size for name, size in buffers.items() if name not in self._seen)
        new += answer["size"] - sum(size for _, size in flat(answer["buffers"]))
        if self.bytes + new > self._total_bytes:
            return f"would make the save larger than {self._total_bytes / 1e6:,.0f} MB"
        self._seen.update(buffers)
        self.bytes += new
        return ""

    def lose(self, names: Sequence[str], reason: str) -> None:
        """Note that variables that are together are lost, and of each why."""
        for name in names:
            others = [f"{other!r}" for other in names if other != name and not other.startswith(surroundings.MARK)]
            self.lost[name] = f"shares objects with {_listed(others)}, and together: it {reason}" if others else reason

    def rest_of(self, names: Sequence[str], blamed: str) -> tuple[str, ...]:
        """Return of variables that could not be taken together those but the one that is to blame, else the largest."""
        blamed = blamed or max(names, key=self.sizes.__getitem__)
        rest = tuple(name for name in names if name != blamed)
        for name in rest:
            del self.lost[name]
        return rest

    def drop_dependents(self) -> None:
        """Lose what wants a function or a class that is lost, and what wants that."""
        while self._drop_wanting():
            pass

    def _drop_wanting(self) -> bool:
        wanting = {names: [name for name in piece["wants"] if name in self.lost] for names, piece in self.taken.items()}
        for names, missing in wanting.items():
            if missing:
                del self.taken[names]
                for name in names:
                    self.lost[name] = f"needs {missing[0]!r}, which cannot be saved: it {self.lost[missing[0]]}"
        return any(wanting.values())

    def drop_large_outputs(self, groups: list[tuple[str, ...]], max_bytes: int) -> None:
        """Keep the newest results that no variable has part in, while they are small; the others leave the groups."""
        only = [group for group in groups if all(name.startswith(surroundings.OUT) for name in group)]
        for group in sorted(only, key=_newest, reverse=True):
            max_bytes -= sum(self.sizes[name] for name in group)
            if max_bytes < 0:
                groups.remove(group)
                for name in group:
                    del self.taken[(name,)]


def flat(lists: Iterable[Iterable[Reference]]) -> list[Reference]:
    """Return the references of all lists in one."""
    return [(name, size) for references in lists for name, size in references]


def _newest(group: Sequence[str]) -> int:
    return max(int(name[len(surroundings.OUT) :]) for name in group)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
