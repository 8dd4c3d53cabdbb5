"""A workspace and packages, beside what people use instead: `python -m benchmarks.workspace`.

First syncs are compared with rsync, whose daemon is at the other end of the same emulated link, and an installation
with pip where the pod has a network. Both take turns, and what has arrived is compared.
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contestants import ROUND_TRIP_SECONDS, fill, private_home
from benchmarks.report import conditions, describe_conditions, update_page
from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.packages.installation import Installation, InstallProgress
from remote_kernel.client.packages.requirements import parse_wanted
from remote_kernel.client.workspace.sync import WorkspaceSync
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.identity import Identifier
from tests.driver import PodProgram, free_ports, wait_until
from tests.faults.proxy import FaultProxy, Plan

DOCS = Path(__file__).parent.parent / "docs"

# Name, number of files, bytes of each.
FIRST = (("1,000 files of 2 KB", 1_000, 2_000), ("100 MB in one file", 1, 100_000_000))

# Of the emulated link, each way.
BYTES_PER_SECOND = 50_000_000

# Pure Python, small, without requirements, and in no environment of ours.
PACKAGES = ("plotille==6.0.5", "humanize==4.17.0", "tabulate==0.10.0")


@dataclass(kw_only=True)
class Row:
    """One comparison.

    Attributes:
        peer: the program beside ours.
        ours, theirs: seconds, round by round.
        lacking: what this machine lacks for the other one; "" for nothing.
    """

    title: str
    peer: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    lacking: str = ""

    def take(self, ours: Callable[[], float], theirs: Callable[[], float] | None, *, number: int) -> None:
        """Take the samples of a round; whoever comes second finds warm caches, so they take turns."""
        turns = [(self.ours, ours)] + ([(self.theirs, theirs)] if theirs is not None else [])
        for samples, sample in turns[:: 1 if number % 2 == 0 else -1]:
            samples.append(sample())


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = ["| what | this kernel | beside it | ratio |", "|---|--:|--:|--:|"]
    return "\n".join([*lines, *map(_to_line, rows)]) + "\n"


def _to_line(row: Row) -> str:
    ours = _shown(row.ours)
    if row.lacking:
        return f"| {row.title} | {ours} | {row.peer}: {row.lacking} | – |"
    ratio = median(mine / other for mine, other in zip(row.ours, row.theirs, strict=True))
    return f"| {row.title} | {ours} | {row.peer}: {_shown(row.theirs)} | {ratio:.2f} |"


def _shown(samples: Sequence[float]) -> str:
    if not samples:
        return "–"
    seconds = median(samples)
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workspace", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (default: %(default)s)")
    parser.add_argument("--update-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(argv)
    with private_home(), tempfile.TemporaryDirectory(prefix="rk-") as name:
        rows = [*_first_syncs(Path(name), options.rounds), _packages(Path(name), options.rounds)]
    text = f"{to_markdown(rows)}\n{describe_conditions(conditions())}"
    print(text)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"workspace": text})
    return 0


# First syncs


def _first_syncs(scratch: Path, rounds: int) -> Iterator[Row]:
    with PodProgram.start(scratch / "pod") as pod, _rsync_daemon(scratch) as daemon:
        for title, count, size in FIRST:
            row = Row(title=f"first sync of {title}", peer="rsync", lacking="" if daemon else "not installed here")
            root = scratch / f"first-{count}"
            fill(root, count, size)
            for turn in range(rounds):
                name = f"{root.name}-{turn}"
                theirs = partial(daemon.copy, root, name) if daemon else None
                row.take(partial(_sync, root, name, pod), theirs, number=turn)
            yield row


def _sync(root: Path, folder: str, pod: PodProgram) -> float:
    with _link(int(pod.endpoint.rpartition(":")[2])) as port:
        seconds = _seconds(lambda: _up(WorkspaceSync(root, folder), f"http://127.0.0.1:{port}"))
    assert _content(pod.scratch / "data" / folder) == _content(root)
    return seconds


@dataclass(frozen=True)
class _RsyncDaemon:
    port: int
    folder: Path

    def copy(self, root: Path, name: str) -> float:
        with _link(self.port) as port:
            command = ["rsync", "--archive", f"--port={port}", f"{root}/", f"rsync://127.0.0.1/files/{name}/"]
            seconds = _seconds(lambda: subprocess.run(command, check=True))
        assert _content(self.folder / name) == _content(root)
        return seconds


@contextmanager
def _rsync_daemon(scratch: Path) -> Iterator[_RsyncDaemon | None]:
    """Give a daemon that takes files; `None` where there is no rsync."""
    if shutil.which("rsync") is None:
        yield None
        return
    folder, settings = scratch / "rsync", scratch / "rsyncd.conf"
    folder.mkdir()
    owner = f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
    settings.write_text(f"{owner}use chroot = no\n[files]\npath = {folder}\nread only = no\n")
    (port,) = free_ports(1)
    command = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={settings}"]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: _listens(port))
            yield _RsyncDaemon(port, folder)
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def _link(port: int) -> Iterator[int]:
    """Give the port of an emulated line to a port, in a process of its own, as it would be in nobody's way."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_run_link, args=(port, theirs))
    process.start()
    try:
        yield int(ours.recv())
    finally:
        ours.send("end")
        process.join()


def _run_link(port: int, connection: Connection) -> None:
    with FaultProxy.before(f"http://127.0.0.1:{port}") as proxy:
        proxy.plan = lambda _number: Plan(delay_seconds=ROUND_TRIP_SECONDS / 2, bytes_per_second=BYTES_PER_SECOND)
        connection.send(proxy.port)
        connection.recv()


def _content(root: Path) -> dict[str, str]:
    """Return checksums by path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest() for path in files}


def _up(sync: WorkspaceSync, endpoint: str) -> None:
    async def run(client: PoolClient) -> None:
        told = await sync.up(RemoteFiles(client), Progress(is_upload=True))
        assert not told.failures, told.failures

    _with_client(endpoint, run)


# Packages


def _packages(scratch: Path, rounds: int) -> Row:
    row = Row(title=f"{len(PACKAGES)} packages to a pod without a network", peer="pip in a pod with one")
    # What is in a cache would be as quick on both sides, and is no first time.
    environ = {**os.environ, "PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        for turn in range(rounds):
            place = scratch / f"packages-{turn}"
            row.take(partial(_install, place, environ), partial(_pip, place, environ), number=turn)
    except (subprocess.CalledProcessError, RemoteKernelError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        row.lacking = f"no index of packages is reached here ({said.strip().splitlines()[-1]})"
    return row


def _install(place: Path, environ: Mapping[str, str]) -> float:
    async def run(client: PoolClient) -> None:
        installation = Installation(
            client, "python3", InstallProgress(), cache=place / "wheels", environ=environ, patience_seconds=60
        )
        outcome = await installation.run(parse_wanted(PACKAGES, [], place))
        assert len(outcome.changes) == len(PACKAGES), outcome

    with PodProgram.start(place / "pod") as pod, _link(int(pod.endpoint.rpartition(":")[2])) as port:
        return _seconds(lambda: _with_client(f"http://127.0.0.1:{port}", run))


def _pip(place: Path, environ: Mapping[str, str]) -> float:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place / "pip"), *PACKAGES]
    return _seconds(lambda: subprocess.run(command, check=True, env=environ, capture_output=True, text=True))


def _with_client(endpoint: str, run: Callable[[PoolClient], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        client = PoolClient(ConfiguredAccess(endpoint, "any"), Identifier("any-session"))
        try:
            await run(client)
        finally:
            await client.aclose()

    asyncio.run(connected())


def _seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
