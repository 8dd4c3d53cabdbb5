"""What a first cell waits for: `python -m benchmarks.first_cell`.

From the request of a kernel's first cell to what it prints, behind an Azure CLI that takes 1.5 s to give a token, and
a front door with TLS at the end of the emulated link. Beside it stands what a session alone takes: the same cell in a
new session of a kernel that has all the rest. On loopback the name of a host takes no time to find.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.contestants import ROUND_TRIP_SECONDS, private_home
from benchmarks.front_end import FrontEnd, text_of
from benchmarks.local_kernel import LocalKernel
from benchmarks.report import conditions, describe_conditions, update_page
from tests.azure_cli import AzureCli
from tests.certificate import FILE_NAME, make_certificate
from tests.driver import Pool
from tests.faults.proxy import FaultProxy, Plan

DOCS = Path(__file__).parent.parent / "docs"
ROUNDS = 7

# Of a built-in interpreter, after the first one.
CELLS = 10

LOGIN_SECONDS = 1.5

# As long as somebody takes who opens a notebook, looks at it, and runs its first cell.
LOOK_SECONDS = 4.0

ALONE = "the session alone"
LATER = "first cell 4 s after the kernel's start"
AT_ONCE = "first cell at once"
SECOND = "first cell of a second kernel, at once"
BUILT_IN = "first cell in a built-in interpreter, 1.5 s after the kernel's start"
LATER_BUILT_IN = "a later cell there"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_cell", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often (default: %(default)s)")
    parser.add_argument("--update-docs", action="store_true", help="put it into docs/performance.md")
    options = parser.parse_args(argv)
    text = f"{to_markdown(measure(options.rounds))}\n{describe_conditions(conditions(['azure-identity', 'httpx']))}"
    print(text)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"first-cell": text})
    return 0


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each kind of first cell, and of a session alone."""
    samples: dict[str, list[float]] = {name: [] for name in (LATER, AT_ONCE, SECOND, ALONE)}
    with private_home(), _far_pool() as (environ, az):
        for _ in range(rounds):
            az.log_in()
            with _kernel(environ) as front_end:
                time.sleep(LOOK_SECONDS)
                samples[LATER].append(_time_cell(front_end))
                front_end.run("%session release")
                samples[ALONE].append(_time_cell(front_end))
            az.log_in()
            with _kernel(environ) as front_end:
                samples[AT_ONCE].append(_time_cell(front_end))
            with _kernel(environ) as front_end:
                samples[SECOND].append(_time_cell(front_end))
    return samples | _measure_built_in(rounds)


def _measure_built_in(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of first and later cells in a pool that knows only Azure's interpreter API."""
    samples: dict[str, list[float]] = {BUILT_IN: [], LATER_BUILT_IN: []}
    with (
        private_home(),
        Pool.start("--flavor", "interpreter", "--max-sessions", "20", "--ready", "2") as pool,
        FaultProxy.before(pool.endpoint) as link,
    ):
        link.plan = lambda _number: Plan(delay_seconds=ROUND_TRIP_SECONDS / 2)
        environ = {"REMOTE_KERNEL_ENDPOINT": link.endpoint, "REMOTE_KERNEL_TOKEN": pool.token}
        for _ in range(rounds):
            with _kernel(environ) as front_end:
                time.sleep(LOGIN_SECONDS)
                samples[BUILT_IN].append(_time_cell(front_end))
                samples[LATER_BUILT_IN] += [_time_cell(front_end) for _ in range(CELLS)]
    return samples


@contextmanager
def _far_pool() -> Iterator[tuple[Mapping[str, str], AzureCli]]:
    """Give a pool at the end of a link, with a pod that is ready, and the `az` that gives its token."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rk-bench-")))
        pool = stack.enter_context(Pool.start("--max-sessions", "20", "--ready", "2"))
        door = stack.enter_context(FaultProxy.before(pool.endpoint, make_certificate(folder)))
        link = stack.enter_context(FaultProxy.before(door.endpoint))  # before the door, so that TLS goes over it
        link.plan = lambda _number: Plan(delay_seconds=ROUND_TRIP_SECONDS / 2)
        az = AzureCli(folder, pool.token, LOGIN_SECONDS)
        endpoint = f"https://127.0.0.1:{link.port}"
        yield {**az.environ, "REMOTE_KERNEL_ENDPOINT": endpoint, "SSL_CERT_FILE": str(folder / FILE_NAME)}, az


@contextmanager
def _kernel(environ: Mapping[str, str]) -> Iterator[FrontEnd]:
    identifier = {"REMOTE_KERNEL_IDENTIFIER": f"bench-{secrets.token_hex(8)}"}
    front_end = FrontEnd(LocalKernel.start("remote", {**environ, **identifier}))
    try:
        front_end.wait_ready()
        yield front_end
    finally:
        front_end.close()


def _time_cell(front_end: FrontEnd) -> float:
    """Return the seconds from a cell's request to what it prints."""
    heard: list[float] = []

    def note(_channel: str, message: Mapping[str, object]) -> None:
        if message["msg_type"] == "stream":
            heard.append(time.perf_counter())

    sent = time.perf_counter()
    assert text_of(front_end.run("print(6 * 7)", note)).endswith("42\n")
    return heard[-1] - sent


def to_markdown(samples: Mapping[str, Sequence[float]]) -> str:
    """Return the table."""
    lines = [f"| {name} | {median(values):.2f} s | {max(values):.2f} s |" for name, values in samples.items()]
    return "\n".join(["| request to first output | median | slowest |", "|---|--:|--:|", *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
