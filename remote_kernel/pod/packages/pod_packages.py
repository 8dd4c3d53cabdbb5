"""Packages of a pod's interpreters: what is there, and orders to install more."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire import packages as wire
from remote_kernel.core.wire.packages import Change, Installed, Order, Packages, Wheel, normalized
from remote_kernel.io.file_pieces import digest
from remote_kernel.io.tasks import start
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.packages import probe
from remote_kernel.pod.packages.folder import make, merge, packages_folder, with_packages
from remote_kernel.pod.packages.program import Program, ProgramFailed, run

# A loaded machine with a slow disk starts an interpreter in seconds.
PROBE_SECONDS = 60.0
# A gigabyte of wheels is unpacked in a minute.
INSTALL_SECONDS = 900.0

# An answer may be lost, and be asked for again.
MAX_REMEMBERED = 16

OPTIONS = (
    "--no-index", "--no-deps", "--no-cache-dir", "--no-user", "--disable-pip-version-check", "--no-input",
    "--no-warn-script-location", "--progress-bar", "off",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """An interpreter, and the versions of the distributions that were looked for."""

    packages: Packages
    found: Mapping[str, str]

    @classmethod
    def parse(cls, output: str, pod: str) -> Self:
        """Read what the probe printed; raises `ProgramFailed`."""
        try:
            told: dict[str, Any] = json.loads(output)
            installed = {name: text for name, text in told["installed"].items() if wire.DISTRIBUTION.fullmatch(name)}
            fields = {**told, "pod": pod, "installed": installed}
            return cls(Packages.from_json(fields), {normalized(name): text for name, text in told["found"].items()})
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, RemoteKernelError):
            raise ProgramFailed("The pod's interpreter does not say what it is.") from None


class PodPackages:
    """Packages that are installed for the interpreters of one pod.

    Args:
        scratch: the pod's private folder.
        environ: environment of the pod's interpreters.
        folder: the data folder, where wheels arrive.
        pod: its name.
    """

    def __init__(self, *, scratch: Path, environ: Mapping[str, str], folder: DataFolder, pod: str) -> None:
        self._scratch = scratch
        self._environ = environ
        self._folder = folder
        self._pod = pod
        self._lock = asyncio.Lock()
        self._jobs: dict[tuple[str, str], asyncio.Task[Installed]] = {}

    def _program(self, kernelspec: str) -> Program:
        folder = packages_folder(self._scratch, kernelspec)
        make(folder)
        return Program.of_kernelspec(kernelspec, with_packages(self._environ, folder))

    async def describe(self, kernelspec: str) -> Packages:
        """Return what is there; raises `NotPython`, `ProgramFailed`."""
        program = await asyncio.to_thread(self._program, kernelspec)
        return (await self._probe(program)).packages

    async def _probe(self, program: Program, names: Sequence[str] = ()) -> Described:
        source = await asyncio.to_thread(_source_of_probe)
        ended = await program.run("-c", source, *names, cwd=self._scratch, timeout_seconds=PROBE_SECONDS)
        return Described.parse(ended.output.strip().rpartition("\n")[2], self._pod)

    async def install(self, kernelspec: str, order: Order, job: str) -> Installed:
        """Return how far an order is, after a moment; one that is new is begun. Raises `NotPython`."""
        program = await asyncio.to_thread(self._program, kernelspec)
        key = (kernelspec, job)
        if key not in self._jobs:
            self._forget()
            folder = packages_folder(self._scratch, kernelspec)
            self._jobs[key] = start(self._carry_out(program, folder, order), "packages")
        task = self._jobs[key]
        done, _ = await asyncio.wait({task}, timeout=wire.WAIT_SECONDS)
        return task.result() if done else self._installed(is_done=False)

    def _installed(self, *, is_done: bool = True, **fields: Any) -> Installed:
        return Installed(pod=self._pod, is_done=is_done, **fields)

    def _forget(self) -> None:
        old = [key for key, task in self._jobs.items() if task.done()]
        for key in old[: max(0, len(self._jobs) - MAX_REMEMBERED)]:
            del self._jobs[key]

    async def _carry_out(self, program: Program, folder: Path, order: Order) -> Installed:
        """Install what is not there; one order after the other, as two kernels may want the same."""
        async with self._lock:
            try:
                return await self._install(program, folder, order)
            except (ProgramFailed, OSError) as error:
                return self._installed(problem=f"{getattr(error, 'strerror', None) or error}")

    async def _install(self, program: Program, folder: Path, order: Order) -> Installed:
        packages = (await self._probe(program)).packages
        before = packages.installed
        wheels = [wheel for wheel in order.wheels if before.get(_name(wheel)) != wheel.name.split("-")[1]]
        files = [self._folder.resolve(f"{wire.WHEELS_FOLDER}/{wheel.name}") for wheel in wheels]
        missing = await asyncio.to_thread(_missing, wheels, files)
        if missing or not wheels:
            return self._installed(missing=missing)
        new = folder.with_name(f"{folder.name}.new")
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
        command = [*self._installer(program, packages.installer, order.installer), "--target", str(new)]
        ended = await run(
            [*command, *map(str, files)], _without_settings(program.environ), self._scratch, INSTALL_SECONDS
        )
        if ended.status:
            return self._installed(problem="The installer in the session has failed.", lines=_last(ended.output))
        await asyncio.to_thread(merge, new, folder)
        found = (await self._probe(program, [_name(wheel) for wheel in wheels])).found
        await asyncio.to_thread(_remove, files)
        return self._verify(wheels, before, found)

    def _installer(self, program: Program, has: str, sent: str) -> list[str]:
        """Return what unpacks wheels: the interpreter's pip, else the pod's uv, else a pip that was sent."""
        if has == "uv":
            return ["uv", "pip", "install", "--no-index", "--no-deps", "--python", program.command[-1]]
        pip = self._folder.resolve(f"{wire.WHEELS_FOLDER}/{sent}") / "pip"
        return [*program.command, *(["-m", "pip"] if has else [str(pip)]), "install", *OPTIONS]

    def _verify(self, wheels: Sequence[Wheel], before: Mapping[str, str], found: Mapping[str, str]) -> Installed:
        """Return what a fresh process finds now, and did not before."""
        versions = {_name(wheel): (before.get(_name(wheel), ""), found.get(_name(wheel), "")) for wheel in wheels}
        changes = [Change(name=name, before=old, after=now) for name, (old, now) in versions.items() if now != old]
        same = [name for name, (old, now) in versions.items() if now == old]
        problem = f"{same[0]} was unpacked, and the interpreter does not find it." if same else ""
        return self._installed(problem=problem, changes=changes)


def _source_of_probe() -> str:
    """Return the probe's text, also where this package lies in an archive."""
    import inspect

    return inspect.getsource(probe)


def _name(wheel: Wheel) -> str:
    return normalized(wheel.name.partition("-")[0])


def _missing(wheels: Sequence[Wheel], files: Sequence[Path]) -> list[str]:
    """Return the names of the wheels that are not there, or are others."""
    missing = []
    for wheel, file in zip(wheels, files, strict=True):
        with contextlib.suppress(OSError):
            if digest(file) == wheel.sha256:
                continue
        missing.append(wheel.name)
    return missing


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which no setting of pip's counts that is for other occasions."""
    kept = {name: text for name, text in environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


def _last(output: str) -> list[str]:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return [line[:500] for line in lines[-wire.MAX_LINES :]]


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for parent in {file.parent for file in files}:
        with contextlib.suppress(OSError):
            parent.rmdir()
