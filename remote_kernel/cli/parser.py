"""Argument parser whose errors are one sentence, and whose help fits the terminal."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NoReturn

# Longer lines are hard to read, however wide a terminal is.
MAX_HELP_COLUMNS = 120


class HelpFormatter(argparse.HelpFormatter):
    """Formats help: paragraphs are filled, and lines that begin with a blank, which are examples, stay as they are."""

    def __init__(self, prog: str, **options: Any) -> None:
        columns = min(shutil.get_terminal_size().columns, MAX_HELP_COLUMNS)
        super().__init__(prog, **{"width": columns - 2, **options})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.strip().split("\n")
        parts = [(kind, list(group)) for kind, group in groupby(lines, key=lambda line: line[:1] in ("", " "))]
        return "\n".join(
            "\n".join(group)
            if is_as_it_is
            else textwrap.fill(
                " ".join(group), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False,
                break_long_words=False,
            )
            for is_as_it_is, group in parts
        )  # fmt: skip


class CommandParser(argparse.ArgumentParser):
    """A parser, and of its commands, that says what is wrong in one line that names the command.

    argparse prints all of the usage first, which hides the sentence, and ascribes what a command does not know to the
    program.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """End the program with status 2."""
        self.exit(2, f"{self.prog}: error: {message}. See '{self.prog} --help'.\n")

    def parse_known_args(  # type: ignore[override]  # of its overloads none fits
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse, and refuse what is left over, here where the command is known."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left
