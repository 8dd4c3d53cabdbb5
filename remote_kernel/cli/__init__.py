"""The `remote-kernel` command.

Exit statuses: 0 done, 1 it failed, 2 what the user gave cannot be used, 130 ended by Ctrl-C (128 plus the signal's
number). Each subcommand is a module with `add_parser(subparsers)`, which sets `handler`, a function from the parsed
arguments to the exit status; `arguments.environ` is the process's environment. A module imports what its work needs
inside the handler, so that `--help` is quick.
"""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Mapping, Sequence

from remote_kernel import __version__
from remote_kernel.cli import completion, doctor, identifier, logs, pool
from remote_kernel.cli.files import command as transfer
from remote_kernel.cli.install import command as install
from remote_kernel.cli.packages import command as packages
from remote_kernel.cli.parser import CommandParser
from remote_kernel.cli.run import command as run
from remote_kernel.cli.saves import command as saves
from remote_kernel.cli.sessions import command as sessions
from remote_kernel.cli.terminal import safe_output
from remote_kernel.core.errors import HOMELESS, RemoteKernelError, UsageError, is_homeless
from remote_kernel.io.log_files import quiet_libraries

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or the process's own arguments, and return the exit status.

    Raises:
        SystemExit: from argparse, for `--help`, `--version` and arguments that it cannot parse.
    """
    environ = dict(os.environ)
    # Jupyter asks IPython for a folder that nothing here needs.
    warnings.filterwarnings("ignore", "IPython (parent|dir)", UserWarning)
    quiet_libraries()
    with safe_output(environ):
        return _run(argv, environ)


def _run(argv: Sequence[str] | None, environ: Mapping[str, str]) -> int:
    try:
        status = _handle(argv, environ)
        sys.stdout.flush()
    except RemoteKernelError as error:
        print(f"remote-kernel: {error}", file=sys.stderr)
        return UNUSABLE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except RuntimeError as error:
        if not is_homeless(error):
            raise
        print(f"remote-kernel: {HOMELESS}", file=sys.stderr)
        return UNUSABLE
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.ENOSPC}:
            raise
        _discard_output()
        if error.errno == errno.ENOSPC:
            print("remote-kernel: not everything could be written: there is no space left", file=sys.stderr)
        return FAILED
    return status


def _handle(argv: Sequence[str] | None, environ: Mapping[str, str]) -> int:
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit:  # the help was asked for, for example
        sys.stdout.flush()
        raise
    arguments.environ = environ
    if arguments.handler is None:
        parser.print_help(sys.stderr)
        return UNUSABLE
    status: int = arguments.handler(arguments)
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="remote-kernel",
        description="Jupyter notebooks whose cells run in a remote session, one stable session for each notebook.",
        epilog="'remote-kernel COMMAND --help' tells more, with examples.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(handler=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in (run, transfer, packages, install, doctor, sessions, saves, logs, identifier, pool, completion):
        module.add_parser(subparsers)
    return parser


def _discard_output() -> None:
    """Give the interpreter's own flush at exit somewhere to write to, now that nobody reads standard output."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
