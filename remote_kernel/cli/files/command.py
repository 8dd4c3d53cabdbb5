"""`remote-kernel upload` and `download`: files between this machine and the session of a notebook."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from remote_kernel.cli.identifier import add_notebook, find_session
from remote_kernel.cli.terminal import can_draw
from remote_kernel.core.errors import TransferError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.io.system.event_loop import open_runner
from remote_kernel.io.tasks import start

if TYPE_CHECKING:
    from remote_kernel.cli.files.transfer_bar import Measured
    from remote_kernel.client.files.download import Choice, DownloadPlan
    from remote_kernel.client.files.remote_files import RemoteFiles
    from remote_kernel.client.files.transfer import Progress, Told
    from remote_kernel.client.routes.detected_route import DetectedRoute

T = TypeVar("T")

UPDATE_SECONDS = 0.1

# So many files that were not fetched are named.
MAX_FAILURES = 20

SAME = """\
What was cut or interrupted goes on where it stopped when the same command is given again. Files that are there already
are not moved again, folders go whole, and all checksums are compared. Files may have any size: they travel in pieces of
at most 4 MB, as Azure takes no more than 128 MB at once.
"""
UPLOAD = f"""\
examples:
  remote-kernel upload report.ipynb data.csv images/
  remote-kernel upload report.ipynb 'data/*.csv' --to input

{SAME}Other files of the same name in the session are replaced. Links that are named are followed. In a folder, those
that lead out of it or to no file are left out and named, as is what is neither a file nor a folder, such as a pipe.

exit status: 0 done; 1 the pool or the session cannot be used, or something was left out; 2 something given cannot be
used; 130 Ctrl-C
"""
DOWNLOAD = f"""\
examples:
  remote-kernel download report.ipynb results
  remote-kernel download report.ipynb '*.csv' --to results --force

{SAME}What is here and differs is replaced after a question, or with --force; where nobody can be asked, nothing is
fetched. Nothing is written through a symbolic link. Patterns and '.' leave hidden files out, as a shell does: these
come with a folder that is named, or by their own names.

exit status: 0 done; 1 the pool or the session cannot be used, or a file could not be fetched; 2 something given cannot
be used, or a file that is here differs; 130 Ctrl-C
"""


class Run(Protocol):
    """Makes a step of the work in the event loop."""

    def __call__(self, step: Coroutine[Any, Any, T], /) -> T: ...


Work = Callable[["RemoteFiles", float, Run], "Told"]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `upload` and `download` to the commands."""
    upload = subparsers.add_parser(
        "upload",
        help="send files to the session of a notebook",
        description="Send files and folders of this machine to the session of NOTEBOOK, which is started if there is "
        "none. Paths in the session are relative to the folder that cells run in.",
        epilog=UPLOAD,
    )
    download = subparsers.add_parser(
        "download",
        help="fetch files from the session of a notebook",
        description="Fetch files and folders from the session of NOTEBOOK, '.' for all of them. Paths in the session "
        "are relative to the folder that cells run in.",
        epilog=DOWNLOAD,
    )
    for parser, to in ((upload, "folder in the session"), (download, "folder on this machine")):
        add_notebook(parser)
        parser.add_argument("paths", metavar="PATH", nargs="+", help="file, folder or pattern such as '*.csv'")
        parser.add_argument("--to", metavar="DIR", default="", help=f"{to} to put them in; made if it is not there")
        parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    download.add_argument("-f", "--force", action="store_true", help="replace files that are here and differ")
    upload.set_defaults(handler=_upload)
    download.set_defaults(handler=_download)


def _upload(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.files.local_paths import current_folder
    from remote_kernel.client.files.transfer import Progress
    from remote_kernel.client.files.upload import Upload, plan_upload

    plan = plan_upload(arguments.paths, to=arguments.to, base=current_folder())
    place = f"'{arguments.to}' in the session" if arguments.to else "the session"
    progress = Progress(is_upload=True, place=place)

    def work(files: "RemoteFiles", patience_seconds: float, run: Run) -> "Told":
        upload = Upload(files, progress, patience_seconds=patience_seconds)
        run(upload.run(plan))
        return upload.told

    return _transfer(arguments, progress, work)


def _download(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.files.download import Download
    from remote_kernel.client.files.local_paths import expand_user
    from remote_kernel.client.files.transfer import Progress

    folder = expand_user(arguments.to)
    progress = Progress(is_upload=False, place=arguments.to or "this folder")

    def work(files: "RemoteFiles", patience_seconds: float, run: Run) -> "Told":
        download = Download(files, progress, to=folder, patience_seconds=patience_seconds)
        plan = run(download.plan(arguments.paths))
        run(download.run(plan, _choose(plan, is_forced=arguments.force)))
        return download.told

    return _transfer(arguments, progress, work)


def _choose(plan: "DownloadPlan", *, is_forced: bool) -> "Choice":
    """Return what becomes of files that are here and differ; asks where somebody can answer."""
    from remote_kernel.client.files.download import Choice
    from remote_kernel.client.files.transfer import list_names

    paths = [differing.wanted.path for differing in plan.differing]
    if is_forced or not paths:
        return Choice.REPLACE
    names, differ, them = list_names(paths), *(("differs", "it") if len(paths) == 1 else ("differ", "them"))
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise TransferError(
            f"{names} {differ} from what is here, so nothing was fetched: --force replaces {them}, "
            "and --to names another folder."
        )
    question = f"{names} {differ} from what is here. Replace {them}? Otherwise only the rest is fetched. [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return Choice.REPLACE if answer.strip().lower() in {"y", "yes"} else Choice.KEEP


def _transfer(arguments: argparse.Namespace, progress: "Progress", work: Work) -> int:
    """Do the work, say what was done, and return the exit status."""
    from remote_kernel.client.files.remote_files import RemoteFiles

    settings, identifier = find_session(arguments)
    try:
        # The loop stands still between two steps, so that a question is like that of any program.
        with open_runner() as runner:

            def run(step: Coroutine[Any, Any, T]) -> T:
                return runner.run(with_bar(arguments.quiet, progress, step))

            route = runner.run(open_route(settings, identifier, arguments.environ))
            try:
                told = work(RemoteFiles(route), settings.wait_seconds, run)
            finally:
                runner.run(route.aclose())
    except KeyboardInterrupt:
        print("remote-kernel: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    if not arguments.quiet:
        print(progress.summarise(time.monotonic()), flush=True)
    for sentence in [] if arguments.quiet else told.notes:
        print(f"remote-kernel: {sentence}", file=sys.stderr)
    for sentence in told.failures[:MAX_FAILURES]:
        print(f"remote-kernel: {sentence}", file=sys.stderr)
    if (more := len(told.failures) - MAX_FAILURES) > 0:
        print(f"remote-kernel: and {count_of(more, 'file')} more", file=sys.stderr)
    return 1 if told.failures else 0


async def open_route(settings: Settings, identifier: Identifier, environ: Mapping[str, str]) -> "DetectedRoute":
    """Return a route to the pod of a notebook's session."""
    from remote_kernel.client.access import choose_access
    from remote_kernel.client.http.pool_client import PoolClient
    from remote_kernel.client.routes.detected_route import DetectedRoute
    from remote_kernel.client.routes.pool_kind import PoolKindStore
    from remote_kernel.kernel.folders import Folders

    pool = PoolClient(choose_access(settings, environ), identifier)
    return DetectedRoute(pool, PoolKindStore(Folders.of_user().runtime, settings.endpoint))


async def with_bar(is_quiet: bool, progress: "Measured", step: Coroutine[Any, Any, T]) -> T:
    """Make a step, on a terminal with a bar that shows how far it is."""
    if is_quiet or not can_draw(sys.stderr):
        return await step
    from remote_kernel.cli.files.transfer_bar import TransferBar

    with TransferBar(progress) as bar:
        updating = start(_update(bar.update), "bar")
        try:
            return await step
        finally:
            updating.cancel()
            await asyncio.gather(updating, return_exceptions=True)


async def _update(update: Callable[[], None]) -> None:
    while True:
        update()
        await asyncio.sleep(UPDATE_SECONDS)
