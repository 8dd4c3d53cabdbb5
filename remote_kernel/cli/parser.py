"""Argument parser whose errors are one sentence, and whose help fits the terminal."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NoReturn

# Longer lines are hard to read, however wide a terminal is.
MAX_HELP_COLUMNS = 120


class HelpFormatter(argparse.HelpFormatter):
    """Formats help: paragraphs are filled, and lines that begin with a blank, which are examples, stay as they are."""

    def __init__(self, prog: str, **options: Any) -> None:
        columns = min(shutil.get_terminal_size().columns, MAX_HELP_COLUMNS)
        super().__init__(prog, **{"width": columns - 2, **options})

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], *more: Any, **options: Any) -> None:
        """Put one short line at the top: the options, which argparse would repeat there, are listed below it."""
        actions = list(actions)
        line = " ".join([self._prog, *usage_words(actions)])
        line = textwrap.fill(line, self._width - len("usage: "), subsequent_indent=" " * 8, break_on_hyphens=False)
        super().add_usage(usage or line, actions, *more, **options)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

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


def usage_words(actions: Iterable[argparse.Action]) -> list[str]:
    """Return what is typed behind a command: [OPTIONS] where it has any, then its arguments."""
    shown = [action for action in actions if action.help != argparse.SUPPRESS]
    forms = {"+": "{}…", "*": "[{}…]", "?": "[{}]"}
    return [
        *(["[OPTIONS]"] if any(action.option_strings for action in shown) else []),
        *(forms.get(str(action.nargs), "{}").format(action.metavar) for action in shown if not action.option_strings),
    ]


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

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print; that standard output takes nothing, which argparse overlooks, is the caller's to tell."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

    def parse_known_args(  # type: ignore[override]  # of its overloads none fits
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse, and refuse what is left over, here where the command is known."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left
