"""`remote-kernel install-packages`: packages from this machine's index to the session of a notebook."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from remote_kernel.cli.files.command import open_route, with_bar
from remote_kernel.cli.identifier import add_notebook, find_session
from remote_kernel.core.errors import UsageError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from remote_kernel.io.system.event_loop import run_in_loop

if TYPE_CHECKING:
    from remote_kernel.client.packages.installation import InstallProgress, Outcome
    from remote_kernel.client.packages.requirements import Wanted

DESCRIPTION = """\
Make sure that the session of NOTEBOOK, which is started if there is none, has packages. The session needs no network:
wheels for its interpreter are found and downloaded on this machine, by pip with your own settings, and what the session
does not have is sent and installed. A kernel that runs there finds it at once.
"""

EPILOG = """\
examples:
  remote-kernel install-packages report.ipynb seaborn 'polars>=1'
  remote-kernel install-packages report.ipynb -r requirements.txt
  remote-kernel install-packages report.ipynb dist/mine-1.0-py3-none-any.whl
  remote-kernel install-packages report.ipynb --project

Packages last as long as the pod. The file may have what pip's may, but for what has to be built: folders, addresses of
repositories.

exit status: 0 the session has it all; 1 the pool or the session cannot be used; 2 there is no wheel for the session, or
something else that was given cannot be used; 130 Ctrl-C: the same command goes on where it stopped
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "install-packages",
        help="install packages in the session of a notebook",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add_notebook(parser)
    add(
        "names", metavar="NAME", nargs="*", default=[], help="package such as 'numpy' or 'numpy>=2', or path of a wheel"
    )
    add(
        "-r", "--requirement", metavar="FILE", action="append", default=[], dest="files",
        help="a file of requirements, as pip has them; may be given several times",
    )  # fmt: skip
    add("--project", action="store_true", help="what the settings of the notebook's project name")
    add("-q", "--quiet", action="store_true", help="print errors only")
    add("--json", action="store_true", help="print what was installed as JSON")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Install, say what has changed, and return the exit status."""
    from remote_kernel.client.packages.installation import InstallProgress

    settings, identifier = find_session(arguments)
    wanted = _read_wanted(arguments)
    progress = InstallProgress()
    install = ensure_packages(wanted, settings, identifier, arguments.environ, progress)
    try:
        outcome = run_in_loop(with_bar(arguments.quiet or arguments.json, progress, install))
    except KeyboardInterrupt:
        print("remote-kernel: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    if arguments.json:
        changes = [{"name": each.name, "before": each.before, "after": each.after} for each in outcome.changes]
        print(json.dumps({"installed": changes, "sent_bytes": outcome.sent_bytes}))
    elif not arguments.quiet:
        print(outcome.summarise())
    return 0


def _read_wanted(arguments: argparse.Namespace) -> "Wanted":
    from remote_kernel.client.files.local_paths import current_folder
    from remote_kernel.client.packages.requirements import parse_wanted, wanted_by
    from remote_kernel.kernel.identity.notebook_path import canonical
    from remote_kernel.kernel.launch.project_file import find_project

    if arguments.project == bool(arguments.names or arguments.files):
        raise UsageError("say which packages: NAME or -r FILE, or --project by itself")
    if arguments.project:
        return wanted_by(find_project(canonical(arguments.notebook).parent))
    return parse_wanted(arguments.names, arguments.files, current_folder())


async def ensure_packages(
    wanted: "Wanted", settings: Settings, identifier: Identifier, environ: Mapping[str, str],
    progress: "InstallProgress",
) -> "Outcome":  # fmt: skip
    """Make sure that the session of an identifier has packages; where it has them, that costs one request.

    Raises:
        UsageError: there is no wheel for it.
        TransferError, PoolError, SessionLost: they cannot be installed there.
    """
    from remote_kernel.client.packages.installation import Installation
    from remote_kernel.kernel.folders import Folders

    route = await open_route(settings, identifier, environ)
    try:
        installation = Installation(
            route, settings.pod_kernel, progress, cache=Folders.of_user().wheels, environ=environ,
            patience_seconds=settings.wait_seconds,
        )  # fmt: skip
        return await installation.run(wanted)
    finally:
        await route.aclose()
