"""What each process spends its processor time on, by Linux's perf: `python -m benchmarks.shares`.

perf looks at a process many times in each second that it has a processor, and says in which library it is. So waiting
does not count, and what a library does for us counts for it, in whatever thread.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contestants import FRONT_DOOR, Contestant, contestants
from benchmarks.hops import processes_of
from benchmarks.measures import MEASURES
from benchmarks.report import update_page

DOCS = Path(__file__).parent.parent / "docs"

RATE = 2000  # a second
SECONDS = 5

# Measure, and what it is called in the table.
TITLES = {
    "cell": "cell `pass`",
    "input": "`input()` answered",
    "prints": "10,000 flushed prints",
    "large-lines": "50 MB in 1 MB lines",
    "large-display": "one 20 MB display",
}

PROCESSES = ("local kernel", "pool", "pod agent")

# What a library's name, or that of the system, has in it; the first that fits counts.
_OF_LIBRARY = {
    "the system": ("[kernel", "[vdso", "[unknown"),
    "Python": ("libpython", "python3", "_asyncio", "_struct", "_json", "lib-dynload"),
    "copying": ("libc.so", "libc-"),
    "signatures": ("libcrypto", "_hashlib", "_sha"),
    "ZeroMQ": ("zmq",),
    "HTTP parser": ("parser.",),
}
REST = "the rest"
KINDS = (*_OF_LIBRARY, REST)

Shares = dict[str, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """How much of a process's processor time goes into what, by kind, in per cent."""

    title: str
    process: str
    shares: Shares


class NoProfile(Exception):
    """Why there is none, in a sentence."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=f"of {', '.join(TITLES)}; all when none is named")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each process (default: %(default)s)")
    parser.add_argument("--update-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - TITLES.keys():
        parser.error(f"there is no profile of {', '.join(sorted(unknown))}; choose from {', '.join(TITLES)}")
    try:
        table = to_markdown(take(options.names or list(TITLES), options.seconds))
    except NoProfile as problem:
        print(problem, file=sys.stderr)
        return 1
    print(table)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"shares": f"{table}\nTaken on {datetime.now(UTC):%Y-%m-%d}.\n"})
    return 0


def take(names: Iterable[str], seconds: int) -> list[Profile]:
    """Return a profile for each measure and process; raises `NoProfile`."""
    if shutil.which("perf") is None:
        raise NoProfile("This needs Linux's perf; install it (linux-perf in Debian).")
    with contestants({FRONT_DOOR}) as found:
        return [profile for name in names for profile in _take(found[FRONT_DOOR], name, seconds)]


def _take(contestant: Contestant, name: str, seconds: int) -> list[Profile]:
    (sample,) = (measure.sample for measure in MEASURES if measure.name == name)
    sample(contestant)  # imports, caches
    processes = processes_of(contestant)
    return [
        Profile(TITLES[name], process, _shares_of(processes[process].pid, lambda: sample(contestant), seconds))
        for process in PROCESSES
    ]


def _shares_of(pid: int, work: Callable[[], object], seconds: int) -> Shares:
    """Return what a process is at while `work` is done again and again."""
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/perf.data"
        look = ["perf", "record", "--event", "cpu-clock", "--freq", f"{RATE}", "--pid", f"{pid}", "--output", data]
        with subprocess.Popen([*look, "--", "sleep", f"{seconds}"], stderr=subprocess.PIPE, text=True) as perf:
            while perf.poll() is None:
                work()
            assert perf.stderr is not None
            said = perf.stderr.read().strip()
        if perf.returncode:
            raise NoProfile(f"perf has failed: {said.splitlines()[0] if said else 'it does not say why'}")
        report = [
            "perf",
            "report",
            "--input",
            data,
            "--stdio",
            "--no-children",
            "--sort",
            "dso",
            "--field-separator",
            ";",
        ]
        return sum_kinds(subprocess.run(report, capture_output=True, text=True, check=True).stdout)


def sum_kinds(report: str) -> Shares:
    """Add up what perf reports, by kind; a line has the share of a library in per cent, and the library."""
    shares = dict.fromkeys(KINDS, 0.0)
    for line in report.splitlines():
        if line.strip() and not line.startswith("#"):
            share, _, library = line.partition(";")
            shares[_kind_of(library)] += float(share.strip().rstrip("%"))
    return shares


def _kind_of(library: str) -> str:
    return next((kind for kind, names in _OF_LIBRARY.items() if any(name in library for name in names)), REST)


def to_markdown(profiles: Iterable[Profile]) -> str:
    """Return a table in per cent."""
    lines = [f"| of processor time, % | process | {' | '.join(KINDS)} |", "|---|---|" + "--:|" * len(KINDS)]
    last = ""
    for profile in profiles:
        cells = [f"{profile.shares[kind]:.0f}" if profile.shares[kind] >= 0.5 else "–" for kind in KINDS]
        lines.append(f"| {profile.title if profile.title != last else ''} | {profile.process} | {' | '.join(cells)} |")
        last = profile.title
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
