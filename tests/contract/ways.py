"""Every way from a kernel to a pod, and what is missing on which."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from remote_kernel.client.access import Access, choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.executions import stop_session
from remote_kernel.core.identity import Identifier
from remote_kernel.core.interpreter_api.versions import SESSION_PATH
from remote_kernel.core.settings import Settings
from tests.azure_pool import run_azure_pool
from tests.driver import Notebook, PodProgram, Pool

# Read before the tests get an environment of their own. The pool is one that costs money: a handful of sessions.
LIVE_ENDPOINT = os.environ.get("REMOTE_KERNEL_LIVE_ENDPOINT", "")
LIVE_TOKEN = os.environ.get("REMOTE_KERNEL_LIVE_TOKEN", "")
LOGIN = {"AZURE_CONFIG_DIR": os.environ.get("AZURE_CONFIG_DIR") or str(Path.home() / ".azure")}

NAMES = ["agent", "direct", "pool", "azure", "bridged", "plain", *(["live"] if LIVE_ENDPOINT else [])]

# What a test may need that a way does not have, and why not.
MISSING: Mapping[str, Mapping[str, str]] = {
    "agent": {"pool": "there is no pool to take the pod away"},
    "direct": {"line": "none is between the kernel and its pod"},
    "plain": {
        "streaming": "a cell's output is the answer of its execution, which comes at its end",
        "files": "there is no agent to move them",
        "interrupt": "nothing reaches the interpreter while it runs a cell",
        "input": "nothing reaches the interpreter while it runs a cell",
        "comms": "no message goes to the interpreter but code",
        "restart": "a fresh interpreter takes a new session",
        "death": "the interpreter's end is the session's, to somebody who sees neither",
    },
}

IDENTIFIER = "contract-suite"


@dataclass
class Way:
    """A kernel that goes one way.

    Attributes:
        take_pod: takes the pod away, as a cooldown does.
    """

    name: str
    notebook: Notebook
    take_pod: Callable[[], None]
    environ: dict[str, str] = field(repr=False)


@contextmanager
def open_way(name: str, pools: "Pools") -> Iterator[Way]:
    with ExitStack() as stack:
        environ, take_pod = _PREPARE[name](stack, pools)
        notebook = Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": f"{IDENTIFIER}-{name}"})
        stack.callback(notebook.close)
        yield Way(name, notebook, take_pod, environ)


class Pools:
    """The pools of a run of tests, each started when it is first wanted."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[tuple[str, ...], Pool] = {}

    def started(self, *options: str) -> Pool:
        """Return the pool with these options."""
        if options not in self._started:
            pool = Pool.start("--max-sessions", "10", *options)
            self._started[options] = self._stack.enter_context(pool)
        return self._started[options]


Prepared = tuple[dict[str, str], Callable[[], None]]


def _prepare_agent(stack: ExitStack, pools: Pools) -> Prepared:
    pod = stack.enter_context(PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))))
    return {"REMOTE_KERNEL_ENDPOINT": pod.endpoint, "REMOTE_KERNEL_TOKEN": "unused"}, lambda: None


def _prepare_pool(stack: ExitStack, pools: Pools) -> Prepared:
    pool = pools.started()
    return _environ_of(pool), lambda: pool.stop_session(f"{IDENTIFIER}-pool")


def _prepare_direct(stack: ExitStack, pools: Pools) -> Prepared:
    pool = pools.started()
    return {**_environ_of(pool), "REMOTE_KERNEL_DIRECT": "1"}, lambda: pool.stop_session(f"{IDENTIFIER}-direct")


def _prepare_azure(stack: ExitStack, pools: Pools) -> Prepared:
    pool = stack.enter_context(run_azure_pool())
    return pool.environ, lambda: pool.take(f"{IDENTIFIER}-azure")


def _prepare_bridged(stack: ExitStack, pools: Pools) -> Prepared:
    pool = pools.started("--flavor", "interpreter")
    client = stack.enter_context(pool.client())
    return _environ_of(pool), lambda: _delete(client, "bridged")


def _prepare_plain(stack: ExitStack, pools: Pools) -> Prepared:
    # Neither a folder to write to nor other programs.
    pool = pools.started("--flavor", "interpreter", "--sandbox", "strict")
    client = stack.enter_context(pool.client())
    return _environ_of(pool), lambda: _delete(client, "plain")


def _prepare_live(stack: ExitStack, pools: Pools) -> Prepared:
    token = {"REMOTE_KERNEL_TOKEN": LIVE_TOKEN} if LIVE_TOKEN else LOGIN

    environ = {"REMOTE_KERNEL_ENDPOINT": LIVE_ENDPOINT, **token}

    def take_pod() -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            access = choose_access(Settings.from_environ(os.environ), os.environ)
            with ThreadPoolExecutor() as threads:  # a test may be waiting for a message in a loop of its own
                threads.submit(lambda: asyncio.run(_stop_live(access))).result()

    take_pod()  # what an earlier run has left there
    stack.callback(take_pod)
    return environ, take_pod


async def _stop_live(access: Access) -> None:
    pool = PoolClient(access, Identifier(f"{IDENTIFIER}-live"))
    try:
        await stop_session(pool)
    finally:
        await pool.aclose()


_PREPARE: Mapping[str, Callable[[ExitStack, Pools], Prepared]] = {
    "agent": _prepare_agent,
    "direct": _prepare_direct,
    "pool": _prepare_pool,
    "azure": _prepare_azure,
    "bridged": _prepare_bridged,
    "plain": _prepare_plain,
    "live": _prepare_live,
}


def _environ_of(pool: Pool) -> dict[str, str]:
    return pool.environ()


def _delete(client: httpx.Client, name: str) -> None:
    params = {"identifier": f"{IDENTIFIER}-{name}", "api-version": "2025-10-02-preview"}
    client.delete(SESSION_PATH, params=params).raise_for_status()
