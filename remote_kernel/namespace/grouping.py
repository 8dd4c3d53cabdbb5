"""Grouping: variables that share objects belong into one pickle, so that what is one object stays one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Grouping:
    """Sets of variables that grow together.

    Args:
        names: of the variables, in the order in which groups are to have them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}
        self._first: dict[int, str] = {}
        self._spans: dict[int, list[tuple[int, int, str]]] = {}
        self._wants: dict[str, list[str]] = {}

    def add(self, name: str, reached: Iterable[int], spans: Iterable[tuple[int, int, int]]) -> None:
        """Note what a variable reaches: objects by `id`, and parts of the memory of others."""
        for item in reached:
            self._join(name, self._first.setdefault(item, name))
        for owner, low, high in spans:
            self._spans.setdefault(owner, []).append((low, high, name))

    def want(self, name: str, wanted: Iterable[str]) -> None:
        """Note which others are to be there before a variable is."""
        self._wants[name] = [other for other in wanted if other in self._parent]

    def groups(self) -> list[list[str]]:
        """Return all the variables, those in one list that share something, or of which each is to be there first."""
        self._join_spans()
        self._join_circles()
        groups: dict[str, list[str]] = {}
        for name in self._parent:
            groups.setdefault(self._root(name), []).append(name)
        return list(groups.values())

    def _join_spans(self) -> None:
        """Join views with the array that they are views of, or, if nobody has it, those that overlap."""
        for owner, spans in self._spans.items():
            if owner in self._first:
                for _, _, name in spans:
                    self._join(name, self._first[owner])
            else:
                self._join_overlapping(sorted(spans))

    def _join_overlapping(self, spans: Sequence[tuple[int, int, str]]) -> None:
        end, before = -1, ""
        for low, high, name in spans:
            if low < end:
                self._join(name, before)
            if high > end:
                end, before = high, name

    def _join_circles(self) -> None:
        after: dict[str, set[str]] = {}
        for name, wanted in self._wants.items():
            after.setdefault(self._root(name), set()).update(map(self._root, wanted))
        in_circles = {root for wanted in after.values() for root in wanted if root in after}
        reached = {root: _reachable(root, after) for root in in_circles}
        for root in in_circles:
            for other in reached[root] & in_circles:
                if root in reached[other]:
                    self._join(root, other)

    def _join(self, one: str, other: str) -> None:
        self._parent[self._root(one)] = self._root(other)

    def _root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name


def _reachable(root: str, after: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [root]
    while left:
        new = after.get(left.pop(), set()) - found
        found |= new
        left += new
    return found
