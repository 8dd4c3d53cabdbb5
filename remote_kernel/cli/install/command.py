"""`remote-kernel install`, `list` and `uninstall`: kernels for one pool each, side by side."""

import argparse
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote_kernel.core.errors import UsageError
from remote_kernel.core.identity import Scope
from remote_kernel.core.pools.pod_environment import is_secret
from remote_kernel.core.settings import Settings
from remote_kernel.core.text.shown_address import without_secrets
from remote_kernel.core.text.terminal_text import aligned, one_line

if TYPE_CHECKING:
    from remote_kernel.cli.install.kernelspecs import Installed

DEFAULT_NAME = "remote"
DEFAULT_DISPLAY_NAME = "Python (remote session)"

INSTALL_DESCRIPTION = """\
Write a kernelspec: a kernel for one pool with one set of settings, which Jupyter front ends offer. Several may live
side by side. The kernel runs with the Python that runs this command.
"""

INSTALL_EPILOG = """\
examples:
  remote-kernel install --name team --display-name "Python (team pool)" --endpoint https://<pool management endpoint>
  remote-kernel install --name local-project --scope project --env REMOTE_KERNEL_KEEPALIVE_MINUTES=120

exit status: 0 installed; 1 it could not be written; 2 something given cannot be used
"""

_NAME = re.compile(r"[a-z0-9._\-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands."""
    _add_install(subparsers)
    listing = subparsers.add_parser(
        "list",
        help="list the installed kernels of remote-kernel",
        description="List the kernels of remote-kernel that Jupyter finds, with the pool of each.",
        epilog="example: remote-kernel list --json\n\nexit status: 0, also when there are none",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(handler=list_kernels)
    removal = subparsers.add_parser(
        "uninstall",
        help="remove installed kernels",
        description="Remove kernels that 'remote-kernel install' has written.",
        epilog="example: remote-kernel uninstall team\n\nexit status: 0 removed; 1 it could not be; 2 there is no such "
        "kernel, or it is not one of remote-kernel's",
    )
    removal.add_argument("names", metavar="NAME", nargs="+", help="name of a kernel, as in the list")
    removal.set_defaults(handler=uninstall)


def _add_install(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "install",
        help="install a kernel for a pool",
        description=INSTALL_DESCRIPTION,
        epilog=INSTALL_EPILOG,
    )
    add = parser.add_argument
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for you, in every environment (the default)")
    where.add_argument("--sys-prefix", action="store_true", help="into the environment that runs this command")
    where.add_argument("--prefix", metavar="DIR", type=Path, help="into DIR/share/jupyter/kernels")
    add("--name", default=DEFAULT_NAME, help="its name for programs (default: %(default)s)")
    add("--display-name", metavar="TEXT", help="its name for people (default: Python (remote session), with the name)")
    add("--endpoint", metavar="URL", help="the pool (default: the local pool, or what the environment says)")
    add("--scope", choices=[scope.value for scope in Scope], help="who shares a session (default: notebook)")
    add("--pod-kernel", metavar="NAME", help="kernelspec in the pod (default: python3)")
    add("--language", default="python", help="language of the kernel in the pod (default: %(default)s)")
    add(
        "--env", metavar="NAME=VALUE", action="append", default=[], type=parse_variable,
        help="a further environment variable of the kernel; may be repeated",
    )  # fmt: skip
    parser.set_defaults(handler=install)


def parse_variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not _VARIABLE.fullmatch(name):
        raise argparse.ArgumentTypeError("write NAME=VALUE")  # the text may hold a secret
    return name, value


def install(arguments: argparse.Namespace) -> int:
    """Handle `install`; raises `UsageError` for what cannot be used and `NotWritten`."""
    from remote_kernel.cli.install.kernelspecs import make_spec, write_spec

    name = arguments.name.lower()
    if not _NAME.fullmatch(name):
        raise UsageError(f"{arguments.name!r} cannot be the name of a kernel: use letters, digits, '-', '.' and '_'")
    environ = _environ(arguments)
    prefix = Path(sys.prefix) if arguments.sys_prefix else arguments.prefix
    has_secret = _check_secrets(environ, prefix)
    display_name = arguments.display_name or _display_name(name)
    spec = make_spec(display_name=display_name, language=arguments.language, environ=environ)
    folder = write_spec(spec, name, prefix=prefix, is_private=has_secret)
    print(f"Installed the kernel {name!r}, which front ends show as {display_name!r}, in {folder}.")
    if has_secret:
        print("It holds a secret, and only you can read it.")
    endpoint = environ.get("REMOTE_KERNEL_ENDPOINT")
    print(f"'remote-kernel doctor{f' --endpoint {endpoint}' if endpoint else ''}' tells whether its pool can be used.")
    return 0


def _environ(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the kernel's variables; raises `UsageError` when the kernel would not accept them."""
    environ = dict(arguments.env)
    given = {
        "REMOTE_KERNEL_ENDPOINT": arguments.endpoint,
        "REMOTE_KERNEL_SCOPE": arguments.scope,
        "REMOTE_KERNEL_POD_KERNEL": arguments.pod_kernel,
    }
    environ |= {name: value for name, value in given.items() if value is not None}
    Settings.from_environ(environ)
    return environ


def _check_secrets(environ: dict[str, str], prefix: Path | None) -> bool:
    """Return whether there are secrets; raises `UsageError` where others could read them."""
    secrets = [name for name, value in environ.items() if is_secret(name, value) or name == "REMOTE_KERNEL_IDENTIFIER"]
    if secrets and prefix is not None:
        raise UsageError(
            f"{secrets[0]} is a secret, and everybody who uses {prefix} could read it there: set it in the environment "
            "of Jupyter instead, or install with --user, where only you can read it"
        )
    return bool(secrets)


def _display_name(name: str) -> str:
    return DEFAULT_DISPLAY_NAME if name == DEFAULT_NAME else f"Python (remote session, {name})"


def list_kernels(arguments: argparse.Namespace) -> int:
    from remote_kernel.cli.install.kernelspecs import find_installed

    kernels = find_installed()
    if arguments.json:
        print(json.dumps([_to_json(kernel) for kernel in kernels]))
    elif kernels:
        print(_table(kernels))
    else:
        print("No kernel of remote-kernel is installed where Jupyter looks: 'remote-kernel install' writes one.")
    return 0


def _to_json(kernel: "Installed") -> dict[str, Any]:
    """Return everything but the values of secrets."""
    fields = asdict(kernel) | {"folder": str(kernel.folder), "endpoint": without_secrets(kernel.endpoint)}
    fields["environ"] = {
        name: "…" if is_secret(name, value) or name == "REMOTE_KERNEL_IDENTIFIER" else value
        for name, value in kernel.environ.items()
    }
    return fields


def _table(kernels: "list[Installed]") -> str:
    rows = [("NAME", "DISPLAY NAME", "POOL", "FOLDER")]
    for kernel in kernels:
        folder = f"{kernel.folder} ({kernel.problem})" if kernel.problem else str(kernel.folder)
        pool = without_secrets(kernel.endpoint) or "local, or the environment's"
        rows.append((kernel.name, kernel.display_name, pool, folder))
    return "\n".join(aligned([[one_line(cell) for cell in row] for row in rows]))


def uninstall(arguments: argparse.Namespace) -> int:
    """Handle `uninstall`; raises `UsageError` and `NotWritten`."""
    from remote_kernel.cli.install.kernelspecs import remove_spec

    for name in arguments.names:
        print(f"Removed the kernel {name!r} from {remove_spec(name)}.")
    return 0
