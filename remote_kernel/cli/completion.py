"""`remote-kernel completion SHELL`: the script that completes the command's words in a shell.

The script is static, so that Tab starts no Python.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish")

DESCRIPTION = """\
Print the script by which a shell completes 'remote-kernel' on Tab: commands, options, their choices, notebooks and
folders. Write it to where the shell looks for such scripts, and begin a new shell.
"""

EPILOG = """\
examples:
  remote-kernel completion bash > ~/.local/share/bash-completion/completions/remote-kernel
  remote-kernel completion zsh > ~/.zsh/completions/_remote-kernel    (a folder of your $fpath)
  remote-kernel completion fish > ~/.config/fish/completions/remote-kernel.fish

After an update of remote-kernel print it again, for what has come with it.

exit status: 0 printed; 2 something given cannot be used
"""

# What arguments hold, by their names in the help; of the others nothing is known.
_FOLDERS = frozenset({"DIR"})
_NOTEBOOKS = frozenset({"NOTEBOOK", "LABEL|NOTEBOOK"})


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes this command in a shell",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from remote_kernel.cli import build_parser

    parser = build_parser()
    for action in _actions(parser):
        if completer := _choose_completer(action):
            action.complete = completer  # type: ignore[attr-defined]  # where shtab looks for it
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of the parser and of the commands in it."""
    for action in parser._actions:  # argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _choose_completer(action: argparse.Action) -> Any:
    import shtab

    names = {action.metavar} if isinstance(action.metavar, str) else set(action.metavar or ())
    if names & _FOLDERS:
        return shtab.DIRECTORY
    if names & _NOTEBOOKS:
        # Parentheses around a single pattern, as shtab puts them there, are something else to zsh.
        return shtab.glob("*.ipynb") | {"zsh": "_files -g '*.ipynb'"}
    return shtab.FILE if action.type is Path or "PATH" in names else None
