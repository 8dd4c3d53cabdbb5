"""The interpreter of a kernelspec, run as a program: to say what it is, and to unpack wheels."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from remote_kernel.core.errors import RemoteKernelError

# The last words of an installer; the first ones are of no use.
MAX_OUTPUT_BYTES = 8 * 1024 * 1024


class NotPython(RemoteKernelError):
    """The kernelspec is of another language, or not installed."""


class ProgramFailed(RemoteKernelError):
    """The interpreter cannot be run, or has not done what it was to."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended: its exit status, and what it said."""

    status: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The interpreter of a kernelspec.

    Attributes:
        command: what starts it, before its arguments.
        environ: its whole environment.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def of_kernelspec(cls, kernelspec: str, environ: Mapping[str, str]) -> "Program":
        """Return the interpreter that a kernelspec starts; raises `NotPython`."""
        manager = AsyncKernelManager(kernel_name=kernelspec)
        try:
            spec, command = manager.kernel_spec, manager.format_kernel_cmd()
        except NoSuchKernel:
            spec, command = None, []
        if spec is None or spec.language.lower() != "python" or not command:
            raise NotPython(f"The kernel {kernelspec!r} is not one of Python's: packages can be installed for those.")
        # What starts the interpreter may stand before it: "conda run -n name python -m ipykernel_launcher".
        end = command.index("-m") if "-m" in command else 1
        return cls(command=tuple(command[:end]), environ={**environ, **spec.env})

    async def run(self, *arguments: str, cwd: Path, timeout_seconds: float, **environ: str) -> Ended:
        """Run it to its end; raises `ProgramFailed` where it cannot be, or takes too long."""
        return await run([*self.command, *arguments], {**self.environ, **environ}, cwd, timeout_seconds)


async def run(command: Sequence[str], environ: Mapping[str, str], cwd: Path, timeout_seconds: float) -> Ended:
    """Run a program to its end, with all that it starts; raises `ProgramFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )
    except OSError as error:
        raise ProgramFailed(f"The pod's interpreter cannot be run: {error.strerror}.") from None
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            while piece := await process.stdout.read(64 * 1024):
                output += piece
                del output[:-MAX_OUTPUT_BYTES]
            status = await process.wait()
    except TimeoutError:
        raise ProgramFailed(f"The pod's interpreter was not done after {timeout_seconds:.0f} s.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
    return Ended(status, output.decode(errors="replace"))
