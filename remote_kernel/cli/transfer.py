"""`remote-kernel upload` and `download`: files between this machine and the session of a notebook."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from remote_kernel.cli.identifier import find_session
from remote_kernel.core.identity import Identifier, Scope
from remote_kernel.core.settings import Settings

if TYPE_CHECKING:
    from remote_kernel.client.files import RemoteFiles
    from remote_kernel.client.transfer import Progress

UPDATE_SECONDS = 0.1

EPILOG = """\
What was cut or interrupted goes on where it stopped when the same command is given again. Files that are there already
are not sent again; others of the same name are replaced. Folders are sent whole, and all checksums are compared.
Files may have any size: they are sent in pieces of at most 4 MB, as Azure takes no more than 128 MB at once.
Exit status: 0 done; 1 the pool or the session cannot be used; 2 something given cannot be used; 130 Ctrl-C.
"""

Work = Callable[["RemoteFiles", "Progress", float], Awaitable[None]]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `upload` and `download` to the commands."""
    upload = subparsers.add_parser(
        "upload",
        help="send files to the session of a notebook",
        description="Send files and folders of this machine to the session of NOTEBOOK, which is started if there is "
        "none. Paths in the session are relative to the folder that cells run in.",
        epilog=EPILOG,
    )
    download = subparsers.add_parser(
        "download",
        help="fetch files from the session of a notebook",
        description="Fetch files and folders from the session of NOTEBOOK, '.' for all of them. Paths in the session "
        "are relative to the folder that cells run in.",
        epilog=EPILOG,
    )
    for parser, to in ((upload, "folder in the session"), (download, "folder on this machine")):
        parser.add_argument("notebook", metavar="NOTEBOOK", help="path of the notebook")
        parser.add_argument("paths", metavar="PATH", nargs="+", help="file, folder or pattern such as '*.csv'")
        parser.add_argument("--to", metavar="DIR", default="", help=f"{to} to put them in; made if it is not there")
        parser.add_argument("--scope", choices=[scope.value for scope in Scope], help="who shares the session")
        parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    upload.set_defaults(handler=_upload)
    download.set_defaults(handler=_download)


def _upload(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.local_paths import current_folder
    from remote_kernel.client.transfer import Progress
    from remote_kernel.client.upload import Upload, plan_upload

    items = plan_upload(arguments.paths, to=arguments.to, base=current_folder())

    async def work(files: "RemoteFiles", progress: "Progress", patience_seconds: float) -> None:
        await Upload(files, progress, patience_seconds=patience_seconds).run(items)

    place = f"'{arguments.to}' in the session" if arguments.to else "the session"
    return _run(arguments, Progress(is_upload=True, place=place), work)


def _download(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.download import Download
    from remote_kernel.client.local_paths import expand_user
    from remote_kernel.client.transfer import Progress

    folder = expand_user(arguments.to)

    async def work(files: "RemoteFiles", progress: "Progress", patience_seconds: float) -> None:
        await Download(files, progress, patience_seconds=patience_seconds).run(arguments.paths, to=folder)

    return _run(arguments, Progress(is_upload=False, place=arguments.to or "this folder"), work)


def _run(arguments: argparse.Namespace, progress: "Progress", work: Work) -> int:
    settings, identifier = find_session(arguments)
    try:
        asyncio.run(_transfer(settings, identifier, progress, partial(_with_bar, arguments.quiet, work)))
    except KeyboardInterrupt:
        print("remote-kernel: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    if not arguments.quiet:
        print(progress.summarise(time.monotonic()))
    return 0


async def _transfer(settings: Settings, identifier: Identifier, progress: "Progress", work: Work) -> None:
    from remote_kernel.client.access import choose_access
    from remote_kernel.client.files import RemoteFiles
    from remote_kernel.client.known_kind import KnownKind
    from remote_kernel.client.pool import PoolClient
    from remote_kernel.client.route import Route
    from remote_kernel.kernel.folders import Folders

    pool = PoolClient(choose_access(settings), identifier)
    route = Route(pool, KnownKind(Folders.of_user().runtime, settings.endpoint))
    try:
        await work(RemoteFiles(route), progress, settings.wait_seconds)
    finally:
        await route.aclose()


async def _with_bar(
    is_quiet: bool, work: Work, files: "RemoteFiles", progress: "Progress", patience_seconds: float
) -> None:
    """Do the work, on a terminal with a bar that shows how far it is."""
    if is_quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        await work(files, progress, patience_seconds)
        return
    from remote_kernel.cli.transfer_bar import TransferBar

    with TransferBar(progress) as bar:
        updating = asyncio.create_task(_update(bar.update))
        try:
            await work(files, progress, patience_seconds)
        finally:
            updating.cancel()
            await asyncio.gather(updating, return_exceptions=True)


async def _update(update: Callable[[], None]) -> None:
    while True:
        update()
        await asyncio.sleep(UPDATE_SECONDS)
