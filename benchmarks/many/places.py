"""A local pool whose pods are light, as processes around the benchmark."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.driver import Pool


@dataclass(frozen=True, slots=True)
class LightPool:
    """A pool, and the one process that answers for all its pods."""

    pool: Pool
    agents: psutil.Process

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.pool.process.pid)


@contextmanager
def light_pool(sessions: int, ready: int) -> Iterator[LightPool]:
    """Run a pool of at most so many sessions."""
    with tempfile.TemporaryDirectory(prefix="rk-many-", ignore_cleanup_errors=True) as folder:
        control = str(Path(folder, "control"))
        with _started("light_agents", control) as agents:
            assert agents.stdout is not None
            agents.stdout.readline()
            with _started("light_pool", control, str(sessions), str(ready)) as process:
                assert process.stdout is not None
                fields = json.loads(process.stdout.readline())
                yield LightPool(Pool(fields["endpoint"], fields["token"], process), psutil.Process(agents.pid))


@contextmanager
def _started(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", f"benchmarks.many.{module}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time that a process has had."""
    times = process.cpu_times()
    return float(times.user + times.system)
