"""Who is measured: ipykernel on this machine, and this kernel over shorter and longer ways."""

import os
import random
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.front_end import FrontEnd
from benchmarks.local_kernel import LocalKernel
from tests.driver import Pool, wait_until
from tests.faults.proxy import FaultProxy, Plan

LOCAL, POOL, FRONT_DOOR, LINK, WORKSPACE = "ipykernel", "pool", "front door", "link", "workspace"

# There and back over the emulated link.
ROUND_TRIP_SECONDS = 0.050

MAX_SESSIONS = 20

# Of a workspace in which nothing changes.
WORKSPACE_FILES = 5_000


@dataclass
class Contestant:
    """One way to run a cell.

    Attributes:
        start: starts another kernel of this kind.
        prepare: makes sure that a kernel may be started now, as with a pod that is ready.
    """

    name: str
    start: Callable[[], FrontEnd]
    prepare: Callable[[], None] = lambda: None
    _front_end: FrontEnd | None = field(default=None, repr=False)

    @property
    def front_end(self) -> FrontEnd:
        """One kernel that stays, and has run a cell."""
        if self._front_end is None:
            self._front_end = self.start_ready()
        return self._front_end

    def start_ready(self) -> FrontEnd:
        """Return a new kernel that has run a cell."""
        self.prepare()
        front_end = self.start()
        front_end.wait_ready()
        front_end.run("pass")
        return front_end

    @contextmanager
    def second(self) -> Iterator[FrontEnd]:
        """Give another kernel beside the one that stays, for as long as it is wanted."""
        front_end = self.start_ready()
        try:
            yield front_end
        finally:
            front_end.close()

    def close(self) -> None:
        """Give up the kernel that stays; whoever asks for it again gets a new one."""
        front_end, self._front_end = self._front_end, None
        if front_end is not None:
            front_end.close()


@contextmanager
def contestants(names: set[str]) -> Iterator[dict[str, Contestant]]:
    """Give the contestants of these names, with whatever pools and pods they need."""
    with ExitStack() as stack:
        stack.enter_context(private_home())
        found = {LOCAL: Contestant(LOCAL, lambda: FrontEnd(LocalKernel.start("python3", {})))}
        if names & {POOL, FRONT_DOOR, LINK, WORKSPACE}:
            found |= _of_pool(stack, names)
        for contestant in found.values():
            stack.callback(contestant.close)
        yield {name: contestant for name, contestant in found.items() if name in names}


def _of_pool(stack: ExitStack, names: set[str]) -> dict[str, Contestant]:
    pool = stack.enter_context(Pool.start("--max-sessions", str(MAX_SESSIONS), "--ready", "1"))

    def wait_pod_ready() -> None:
        with pool.client() as client:
            wait_until(lambda: client.get("/.local/status").json()["ready"] > 0)

    found = {
        POOL: Contestant(POOL, lambda: start_remote(pool.endpoint, pool.token, is_direct=True), wait_pod_ready),
        FRONT_DOOR: Contestant(FRONT_DOOR, lambda: start_remote(pool.endpoint, pool.token), wait_pod_ready),
    }
    if WORKSPACE in names:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rk-")))
        fill(folder, WORKSPACE_FILES, 100)
        found[WORKSPACE] = Contestant(
            WORKSPACE,
            lambda: start_remote(pool.endpoint, pool.token, is_direct=True, workspace=folder),
            wait_pod_ready,
        )
    if LINK in names:
        proxy = stack.enter_context(FaultProxy.before(pool.endpoint))
        proxy.plan = lambda _number: Plan(delay_seconds=ROUND_TRIP_SECONDS / 2)
        found[LINK] = Contestant(LINK, lambda: start_remote(proxy.endpoint, pool.token), wait_pod_ready)
    return found


def start_remote(endpoint: str, token: str, *, is_direct: bool = False, workspace: Path | None = None) -> FrontEnd:
    """Start a kernel of ours with a session of its own.

    Args:
        is_direct: whether it may pass the pool by, as kernels without an endpoint do.
        workspace: folder that is kept the same in the session.
    """
    environ = {
        "REMOTE_KERNEL_DIRECT": "1" if is_direct else "0",
        "REMOTE_KERNEL_ENDPOINT": endpoint,
        "REMOTE_KERNEL_TOKEN": token,
        "REMOTE_KERNEL_IDENTIFIER": f"bench-{secrets.token_hex(8)}",
    }
    if workspace is not None:
        environ["REMOTE_KERNEL_WORKSPACE"] = "."
    return FrontEnd(LocalKernel.start("remote", environ, workspace))


def fill(root: Path, count: int, size: int) -> None:
    """Write files of random bytes, the same each time, into fifty folders."""
    for number in range(count):
        file = root / f"{number % 50}/{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(number).randbytes(size))
    os.sync()


@contextmanager
def private_home() -> Iterator[None]:
    """Keep everything out of the caller's own folders, and the caller's settings out of the kernels."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="rk-bench-", ignore_cleanup_errors=True) as home:
        for name in [name for name in os.environ if name.startswith(("REMOTE_KERNEL_", "JUPYTER", "JPY_"))]:
            del os.environ[name]
        for name in ("HOME", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            folder = Path(home, name.lower())
            folder.mkdir()
            os.environ[name] = str(folder)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
