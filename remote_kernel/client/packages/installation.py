"""Packages for a session, from the question what it has to the answer what has changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Patience, PieceSize, Progress, Steps
from remote_kernel.client.files.upload import LocalItem, Upload, UploadPlan
from remote_kernel.client.packages.addresses import host_of
from remote_kernel.client.packages.pip import Pip
from remote_kernel.client.packages.remote_packages import RemotePackages
from remote_kernel.client.packages.requirements import Wanted, allowed_hashes
from remote_kernel.client.packages.resolution import Found, is_satisfied, resolve
from remote_kernel.client.packages.wheel_cache import WheelCache
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import TransferError, UsageError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire.packages import WHEELS_FOLDER, Change, Installed, Order, Packages, Wheel, normalized
from remote_kernel.io.file_pieces import digest

# Another kernel's order may have taken away what was just sent.
MAX_TRIES = 3

# So many packages are named at the end.
MAX_SHOWN = 8

HAS_ALL = "The session has all of that already."


class Step(StrEnum):
    """Step of an installation, for people."""

    ASKING = "asking the session what it has"
    FINDING = "finding packages for it, on this machine"
    FETCHING = "downloading them, to this machine"
    SENDING = "sending them"
    INSTALLING = "installing them in the session"


@dataclass(slots=True)
class InstallProgress(Steps):
    """Progress of an installation; whoever shows it looks at it as often as it likes.

    Attributes:
        step: what is being done.
        said: the last line of the program that does it.
        transfer: how far the wheels are on their way.
    """

    step: Step = Step.ASKING
    said: str = ""
    transfer: Progress = field(default_factory=lambda: Progress(is_upload=True, place="the session"))

    @property
    def name(self) -> str:
        """The name of the wheel that is on its way."""
        return self.transfer.name.rpartition("/")[2] if self.step is Step.SENDING else ""

    @property
    def fraction(self) -> float:
        """From 0 to 1; of the whole, as far as one can know."""
        done = list(Step).index(self.step) / len(Step)
        return done + (self.transfer.fraction / len(Step) if self.step is Step.SENDING else 0.0)

    def describe(self, now: float) -> str:
        """Return the state at `now` (monotonic seconds) as one line, without the bar."""
        if self.step is Step.SENDING or self.wait is not None:
            return self.transfer.describe(now)
        return f"{self.step}: {self.said}" if self.said else self.step


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of an installation.

    Attributes:
        changes: what was installed; nothing where the session had it all.
        sent_bytes: how large the wheels were.
        sources: a sentence about the places that were looked at because somebody else says so; "" for none.
    """

    changes: Sequence[Change]
    sent_bytes: int = 0
    sources: str = ""

    def summarise(self) -> str:
        """Return the sentences for its end."""
        if not self.changes:
            return HAS_ALL
        names = [_name(change) for change in self.changes]
        more = f" and {len(names) - MAX_SHOWN:,} more" if len(names) > MAX_SHOWN else ""
        upgraded = [change.name for change in self.changes if change.before]
        restart = f" A kernel that has imported {upgraded[0]} already has to be restarted." if upgraded else ""
        shown = ", ".join(names[:MAX_SHOWN])
        return f"Installed {count_of(len(names), 'package')} in the session: {shown}{more}.{restart}{self.sources}"


def _name(change: Change) -> str:
    return f"{change.name} {change.after}" + (f" (was {change.before})" if change.before else "")


class Installation:
    """Makes sure that a session's interpreter has packages.

    Args:
        route: to the pod.
        kernelspec: of the interpreter in the pod.
        cache: a folder of this user's, where wheels are kept.
        environ: for pip on this machine; `None` for that of this process.
        pod: its name; "" for whichever answers.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(
        self, route: Route, kernelspec: str, progress: InstallProgress, *, cache: Path, patience_seconds: float,
        environ: Mapping[str, str] | None = None, pod: str = "",
    ) -> None:  # fmt: skip
        self._route = route
        self._progress = progress
        self._cache = WheelCache(cache)
        self._environ = environ
        self._patience_seconds = patience_seconds
        patience = Patience(progress.transfer, PieceSize(route.piece_bytes), patience_seconds)
        self._remote = RemotePackages(route, kernelspec, patience, pod)

    async def run(self, wanted: Wanted) -> Outcome:
        """Install what the session lacks; where it has all, that costs one request.

        Raises:
            UsageError: no wheel can be had for the session; nothing was changed.
            TransferError: what was sent cannot be installed there.
            PoolError, SessionLost.
        """
        target = await self._remote.describe()
        if is_satisfied(wanted, target):
            return Outcome(())
        pip = Pip(target, self._cache, options=wanted.options, environ=self._environ, hear=self._hear)
        self._begin(Step.FINDING)
        found = await resolve(wanted, target, pip.find)
        _check_hashes(found, wanted)
        if not found:
            return Outcome(())
        installer = [] if target.installer else await pip.find(["pip"])
        self._begin(Step.FETCHING)
        paths = await pip.fetch([*found, *installer])
        outcome = await self._install(paths, target, has_installer=bool(installer))
        return replace(outcome, sources=_describe_sources(wanted, found))

    def _begin(self, step: Step) -> None:
        self._progress.step, self._progress.said = step, ""

    def _hear(self, line: str) -> None:
        self._progress.said = line

    async def _install(self, paths: Sequence[Path], target: Packages, *, has_installer: bool) -> Outcome:
        """Send wheels and have them installed; the last one is the installer, where there is one."""
        sizes = await asyncio.to_thread(lambda: [path.stat().st_size for path in paths])
        hashes = await asyncio.to_thread(lambda: [digest(path) for path in paths])
        wheels = [Wheel(name=path.name, sha256=sha256) for path, sha256 in zip(paths, hashes, strict=True)]
        order = Order(wheels=wheels[:-1], installer=paths[-1].name) if has_installer else Order(wheels=wheels)
        items = [
            LocalItem(source=path, target=f"{WHEELS_FOLDER}/{path.name}", size=size)
            for path, size in zip(paths, sizes, strict=True)
        ]
        for _ in range(MAX_TRIES):
            await self._send(items, target.pod)
            self._begin(Step.INSTALLING)
            installed = await self._remote.install(order)
            if not installed.missing:
                break
        _check(installed)
        return Outcome(installed.changes, sum(sizes))

    async def _send(self, items: list[LocalItem], pod: str) -> None:
        self._begin(Step.SENDING)
        transfer = self._progress.transfer
        transfer.files_done = transfer.bytes_done = 0
        files = RemoteFiles(self._route, pod)
        await Upload(files, transfer, patience_seconds=self._patience_seconds).run(UploadPlan(items))


def _check(installed: Installed) -> None:
    if installed.missing:
        raise TransferError(f"The session does not keep what it is sent: {installed.missing[0]} is not there.")
    if installed.problem:
        said = f" It says: {' / '.join(installed.lines[-5:])}" if installed.lines else ""
        raise TransferError(f"{installed.problem}{said}")


def _describe_sources(wanted: Wanted, found: Sequence[Found]) -> str:
    asked = {normalized(requirement.name) for requirement in wanted.requirements}
    return wanted.describe_sources(host_of(each.url) for each in found if each.is_direct and each.name not in asked)


def _check_hashes(found: Sequence[Found], wanted: Wanted) -> None:
    """Raise `UsageError` for a wheel that a file of the user's does not allow."""
    for each in found:
        allowed = allowed_hashes(wanted.hashes, each.name)
        if wanted.requires_hashes and not allowed:
            raise UsageError(
                f"{each.name} {each.version} is needed as well, and the requirements have no checksum of it: where one "
                "has, all need one, as 'pip-compile --generate-hashes' writes them."
            )
        if allowed and each.sha256 not in allowed:
            raise TransferError(f"The wheel of {each.name} {each.version} has none of the checksums that are allowed.")
