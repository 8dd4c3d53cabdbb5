"""Argument parser whose errors are one sentence."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser, and of its commands, that says what is wrong in one line that names the command.

    argparse prints all of the usage first, which hides the sentence, and ascribes what a command does not know to the
    program.
    """

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
