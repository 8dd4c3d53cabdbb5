"""Answers that are remembered for questions that come again: a cell asks what the cell before it has asked."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Value = TypeVar("Value")

# Headers and queries of cells have about 250; what has many more is not worth the memory.
MAX_BYTES = 2 * 1024


def remembered(maxsize: int) -> Callable[[Callable[[bytes], Value]], Callable[[bytes], Value]]:
    """Remember the last `maxsize` answers of a function to bytes that are short; what it raises is not remembered."""

    def decorate(function: Callable[[bytes], Value]) -> Callable[[bytes], Value]:
        cached = lru_cache(maxsize)(function)

        @wraps(function)
        def answer(question: bytes) -> Value:
            return cached(question) if len(question) <= MAX_BYTES else function(question)

        return answer

    return decorate
