"""Interpreters for tests, each in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.namespace.interpreter import Interpreter

Start = Callable[[], Interpreter]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts an interpreter."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Interpreter(tmp_path))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interpreter]:
    """An interpreter for all tests of a module."""
    with Interpreter(tmp_path_factory.mktemp("shared")) as interpreter:
        yield interpreter
