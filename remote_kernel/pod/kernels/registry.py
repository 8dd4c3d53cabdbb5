"""Registry of a pod's kernels, and how they are started."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.journal.journal import Journal
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.wire.launch import Launch
from remote_kernel.io.system.fork_server import ForkServer
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.processes.guard import Guard
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.lives import EpochMismatch
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.packages.folder import make, packages_folder, with_packages
from remote_kernel.pod.readers.journal_files import SpillFile

# A project's notebooks share a pod; more interpreters than this do not fit into one of a few GB.
MAX_KERNELS = 32

# Who was told that nobody needs the pod stops it at once, or has failed to.
LEAVE_SECONDS = 15.0


class TooManyKernels(RemoteKernelError):
    """The pod has as many kernels as it can hold."""


class PodLeaving(RemoteKernelError):
    """The pod has been given back and is about to be stopped."""


@dataclass(frozen=True, slots=True)
class Starting:
    """An interpreter, and the task that starts it."""

    interpreter: Interpreter
    task: asyncio.Task[Interpreter]

    @property
    def has_failed(self) -> bool:
        return self.interpreter.exited.done() or _has_failed(self.task)

    async def set_up(self, launching: Launching) -> Interpreter:
        """Return the interpreter when it is as `launching` says; raises as `Interpreter.start` and `set_up` do."""
        await self.task
        await self.interpreter.set_up(launching)
        return self.interpreter


class Registry:
    """The kernels of one pod, by name, and one spare interpreter for the first that it can serve.

    Args:
        folder: private folder for connection files and sockets.
        data: the working folder of every interpreter that is not to have another.
        environ: their environment, beside where packages are installed.
        forks: who may have interpreters ready; `None` where there is nobody.
        cooldown_seconds: how long the pool keeps a pod without a call, and so a reader's claim to a kernel lasts.
    """

    def __init__(
        self, *, folder: Path, data: Path, environ: Mapping[str, str],
        cooldown_seconds: float = DEFAULT_COOLDOWN_SECONDS, forks: ForkServer | None = None,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._plain = Launching(launch=Launch(), cwd=data)
        self._environ = dict(environ)
        self._forks = forks
        self._cooldown_seconds = cooldown_seconds
        self._kernels: dict[str, PodKernel] = {}
        self._shutdowns = Shutdowns()
        self._guard = Guard()
        self._ending: list[PodKernel] = []  # no longer to be found by their names
        self._leaver = ""
        self._leaves_until = 0.0
        self._spare: Starting | None = None

    @property
    def scratch(self) -> Path:
        """The pod's private folder."""
        return self._folder

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of every interpreter."""
        return self._environ

    @property
    def kernels(self) -> list[PodKernel]:
        return list(self._kernels.values())

    async def prepare(self, kernelspec: str) -> None:
        """Start the spare interpreter and return when it is ready; raises as `Interpreter.start` does."""
        self._spare = self._begin(kernelspec, self._plain)
        await asyncio.shield(self._spare.task)

    def get_or_create(self, name: str, kernelspec: str) -> PodKernel:
        """Return the kernel of that name.

        Raises:
            EpochMismatch: it exists and runs another kernelspec.
            TooManyKernels: there is no room for one more.
            PodLeaving: the pod is about to go.
        """
        self._check_not_leaving()
        kernel = self._kernels.get(name)
        if kernel is not None and kernel.is_ending:
            self._ending.append(self._kernels.pop(name))
            kernel = None
        if kernel is not None and kernel.kernelspec != kernelspec and kernel.lifecycle.has_failed:
            self._kernels.pop(name).close()  # whoever asked for it has been told that there is none
            kernel = None
        if kernel is None:
            if len(self._kernels) >= MAX_KERNELS:
                raise TooManyKernels(
                    f"The pod already runs {MAX_KERNELS} kernels: shut some notebooks of this project down."
                )
            kernel = PodKernel(
                name,
                kernelspec,
                journal=Journal(make_file=partial(SpillFile, self._folder)),
                start=partial(self._start, kernelspec),
                shutdowns=self._shutdowns,
                claim_seconds=self._cooldown_seconds,
            )
            self._kernels[name] = kernel
            if kernel.is_of_one_process:
                kernel.end_when_left(self._cooldown_seconds, self.remove_closed)
        elif kernel.kernelspec != kernelspec:
            raise EpochMismatch(f"The pod's kernel {name!r} runs {kernel.kernelspec!r}, not {kernelspec!r}.")
        return kernel

    def get(self, name: str, epoch: str) -> PodKernel:
        """Return the kernel of that name that knows `epoch`.

        Raises:
            EpochMismatch: there is none.
            PodLeaving: the pod is about to go.
        """
        self._check_not_leaving()
        kernel = self._kernels.get(name)
        if kernel is None or not kernel.lives.knows(epoch):
            raise EpochMismatch("The session that this request speaks of is gone.")
        return kernel

    @property
    def is_leaving(self) -> bool:
        """Return whether the pod is about to be stopped."""
        return self._leaves_until > time.monotonic()

    def _check_not_leaving(self) -> None:
        if self.is_leaving:
            raise PodLeaving("The pod has been given back: ask again, for another.")

    def leave(self, reader: str) -> None:
        """Take in nobody for a moment, in which `reader` has the pod stopped."""
        self._leaver, self._leaves_until = reader, time.monotonic() + LEAVE_SECONDS

    def stay_for(self, reader: str) -> None:
        """Let the pod stay where the one who was about to have it stopped comes back instead."""
        if reader and reader == self._leaver:
            self._leaves_until = 0.0

    def remove_closed(self) -> None:
        """Forget the kernels that were shut down; their journals go with the last stream that reads them."""
        self._ending = [kernel for kernel in self._ending if not kernel.lives.is_closed]
        self._kernels = {name: kernel for name, kernel in self._kernels.items() if not kernel.lives.is_closed}

    def _start(self, kernelspec: str, asked: Launching | None) -> asyncio.Task[Interpreter]:
        launching = asked or self._plain
        starting = self._take_spare(kernelspec, launching) or self._begin(kernelspec, launching)
        task = asyncio.create_task(starting.set_up(launching))
        task.add_done_callback(partial(self._end_unless_ready, starting))
        return task

    def _end_unless_ready(self, starting: Starting, ready: asyncio.Task[Interpreter]) -> None:
        if _has_failed(ready):
            self._shutdowns.give_up("", starting.task)

    def _take_spare(self, kernelspec: str, launching: Launching) -> Starting | None:
        """Return the spare interpreter where it can become the one that is wanted; `None` where it cannot."""
        spare = self._spare
        if spare is None or spare.interpreter.kernelspec != kernelspec:
            return None
        if not launching.can_be_told(is_ipython=spare.interpreter.is_ipython):
            return None
        self._spare = None
        if spare.has_failed:
            self._shutdowns.give_up("", spare.task)
            return None
        return spare

    def _begin(self, kernelspec: str, launching: Launching) -> Starting:
        packages = packages_folder(self._folder, kernelspec)
        environ = with_packages(self._environ, packages)
        interpreter = Interpreter(
            kernelspec, folder=self._folder, launching=launching, environ=environ, guard=self._guard,
            forks=self._forks, packages=packages,
        )  # fmt: skip

        async def start() -> Interpreter:
            try:
                await asyncio.to_thread(make, packages)
                await interpreter.start()
            except BaseException:
                await asyncio.shield(interpreter.kill())
                raise
            return interpreter

        return Starting(interpreter, asyncio.create_task(start()))

    async def aclose(self) -> None:
        """End every interpreter: as at a shutdown, or by force after a while."""
        if self._spare is not None:
            self._shutdowns.give_up("", self._spare.task)
        for kernel in (*self.kernels, *self._ending):
            kernel.close()
        await self._shutdowns.aclose()
        self._guard.close()


def _has_failed(task: asyncio.Task[Interpreter]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
