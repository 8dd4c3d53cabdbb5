"""Graphs of objects, made in an interpreter after a description, and described again."""

from collections.abc import Callable
from typing import Any

Description = list[dict[str, Any]]


class Node:
    """Object of a class that both interpreters can import."""


def holder(parts: list[Any]) -> Any:
    """Return a function that holds what is to come in its closure."""

    def held() -> list[Any]:
        return parts

    return held


def build(description: Description) -> list[Any]:
    """Return the nodes: of each "kind", holding the nodes "parts" by their numbers; tuples hold earlier ones only."""
    nodes: list[Any] = []
    for number, node in enumerate(description):
        kinds: dict[str, Callable[[], Any]] = {
            "list": list,
            "dict": dict,
            "object": Node,
            "closure": lambda: holder([]),
        }
        is_tuple = node["kind"] == "tuple"
        parts = (nodes[part % number] for part in node["parts"]) if number else ()
        nodes.append((*parts, number) if is_tuple else kinds[node["kind"]]())
    for made, node in zip(nodes, description, strict=True):
        fill(made, [nodes[part % len(nodes)] for part in node["parts"]])
    return nodes


def fill(made: Any, parts: list[Any]) -> None:
    """Give a node its parts."""
    if isinstance(made, list):
        made.extend(parts)
    elif isinstance(made, dict):
        made.update(enumerate(parts))
    elif isinstance(made, Node):
        made.__dict__.update({f"part{number}": part for number, part in enumerate(parts)})
    elif callable(made):
        made().extend(parts)


def describe(roots: list[Any]) -> list[Any]:
    """Return the graph below some objects, the same for all that are isomorphic."""
    numbers: dict[int, int] = {}
    shown: list[Any] = []

    def number_of(item: Any) -> Any:
        if isinstance(item, int):
            return f"number {item}"
        if id(item) not in numbers:
            numbers[id(item)] = len(numbers)
            shown.append(None)
            shown[numbers[id(item)]] = [type(item).__name__, [number_of(part) for part in parts_of(item)]]
        return numbers[id(item)]

    return [[number_of(root) for root in roots], shown]


def parts_of(item: Any) -> list[Any]:
    """Return what an object holds, in order."""
    if isinstance(item, list | tuple):
        return list(item)
    if isinstance(item, dict):
        return list(item.values())
    return list(vars(item).values()) if isinstance(item, Node) else [item()]


def components(roots: list[Any]) -> int:
    """Return how many sets of these objects share nothing with one another."""
    reached: list[tuple[set[int], set[int]]] = []
    for index, root in enumerate(roots):
        ids, which = set(reach(root)), {index}
        for other in [other for other in reached if other[0] & ids]:
            reached.remove(other)
            ids, which = ids | other[0], which | other[1]
        reached.append((ids, which))
    return len(reached)


def has_function(roots: list[Any]) -> bool:
    """Return whether a function is among these objects or below them."""
    return any(callable(item) for root in roots for item in reach(root).values())


def reach(root: Any) -> dict[int, Any]:
    """Return all that is below an object, but numbers, by its `id`."""
    found: dict[int, Any] = {}
    left = [root]
    while left:
        item = left.pop()
        if not isinstance(item, int) and id(item) not in found:
            found[id(item)] = item
            left += parts_of(item)
    return found
