"""`remote-kernel identifier NOTEBOOK`: the session identifier that a kernel of this notebook has."""

import argparse
from collections.abc import Mapping
from dataclasses import replace

from remote_kernel.core.errors import UsageError
from remote_kernel.core.identity import Identifier, Scope
from remote_kernel.core.settings import Settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "identifier",
        help="print the session identifier of a notebook",
        description="Print the session identifier that a kernel of NOTEBOOK has. Treat it as a secret: whoever has it "
        "and a token for the pool is in the session. The REMOTE_KERNEL_* variables count as for a kernel.",
        epilog="example: remote-kernel identifier report.ipynb\n\nexit status: 0 printed; 2 it cannot be known",
    )
    add_notebook(parser)
    parser.set_defaults(handler=print_identifier)


def add_notebook(parser: argparse.ArgumentParser) -> None:
    """Add what `find_session` wants to know."""
    parser.add_argument("notebook", metavar="NOTEBOOK", help="path of the notebook")
    parser.add_argument("--scope", choices=[scope.value for scope in Scope], help="who shares the session")


def print_identifier(arguments: argparse.Namespace) -> int:
    """Handle the command; raises `UsageError` where the identifier cannot be known."""
    _, identifier = find_session(arguments)
    print(identifier)
    return 0


def find_session(arguments: argparse.Namespace) -> tuple[Settings, Identifier]:
    """Return settings and identifier for `arguments.notebook` and `arguments.scope`.

    Raises:
        UsageError: there is no such notebook, or the identifier cannot be known.
    """
    from remote_kernel.kernel.folders import Folders
    from remote_kernel.kernel.identity.decision import identifier_of
    from remote_kernel.kernel.identity.identity_key import load_key
    from remote_kernel.kernel.identity.notebook_path import canonical

    if not canonical(arguments.notebook).is_file():
        raise UsageError(f"there is no notebook at {arguments.notebook}")
    environ: Mapping[str, str] = arguments.environ
    settings = Settings.from_environ(environ)
    if arguments.scope:
        settings = replace(settings, scope=Scope(arguments.scope))
    data = Folders.of_user().data
    return settings, identifier_of(arguments.notebook, settings, environ, lambda: load_key(environ, data))
