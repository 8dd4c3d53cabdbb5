"""Writes docs/commands.md from the command's own parser; a test says when that is to be done again.

Run it as `python -m tests.commands_page`.
"""

import argparse
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from remote_kernel.cli import build_parser
from remote_kernel.cli.parser import usage_words

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

HEAD = """\
# Commands

What `--help` says, on one page. [Exit statuses](configuration.md#exit-statuses) are in one table, and so are the
[settings](configuration.md#settings-of-a-kernel) that all commands read from the environment, as a kernel does.

"""

TAIL = """\
`remote-kernel-pod` is [the program in a pod](configuration.md#options-of-a-pod).
"""


def page() -> str:
    """Return the page."""
    sections = "\n".join(_section(name, parser) for name, parser in _commands(build_parser(), "remote-kernel"))
    return f"{HEAD}{sections}\n{TAIL}"


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield f"{name} {word}", command
                yield from _commands(command, f"{name} {word}")


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if action.help not in (None, argparse.SUPPRESS)]
    arguments = [action for action in actions if not isinstance(action, argparse._HelpAction)]
    arguments.sort(key=lambda action: bool(action.option_strings))  # as argparse has them
    usage = " ".join([name, *usage_words(arguments)])
    lines = [f"## `{name}`", "", "```", usage, "```", "", _wrapped(parser.description or ""), ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| {_name(action)} | {_meaning(parser, action)} |" for action in arguments]
        lines.append("")
    return "\n".join(lines + _epilog(parser))


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar}`".replace("|", "\\|")
    if action.choices:
        value = "\\|".join(map(str, action.choices))
    elif isinstance(action.metavar, tuple):
        value = " ".join(action.metavar)
    else:
        value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    return ", ".join(f"`{option}{f' {value}' if value else ''}`" for option in action.option_strings)


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return " ".join(text.split()).replace("|", "\\|")


def _epilog(parser: argparse.ArgumentParser) -> list[str]:
    """Return the examples as code, and the other paragraphs as they are but for the exit statuses."""
    lines = (parser.epilog or "").replace("example: ", "examples:\n  ").splitlines()
    code = [line.strip() for line in lines if line.startswith("  ")]
    prose = "\n".join(line for line in lines if not line.startswith("  ") and line != "examples:")
    prose = re.sub(r"\bexit status.*", "", prose, flags=re.DOTALL | re.IGNORECASE).strip()
    return [*(["```", *code, "```", ""] if code else []), *([_wrapped(prose), ""] if prose else [])]


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_on_hyphens=False, break_long_words=False)


if __name__ == "__main__":
    PAGE.write_text(page())
