"""The command line of the programs that take measures, and what they say meanwhile."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measures import Measure


def parse(
    argv: list[str] | None, prog: str, description: str | None, measures: Sequence[Measure]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    names = [measure.name for measure in measures]
    parser.add_argument(
        "measures", nargs="*", default=names, metavar="MEASURE", help=f"what to measure: {', '.join(names)} (all)"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: does it run, and is everything there?")
    parser.add_argument("--output", type=Path, default=Path(".build"), help="folder for what has been measured")
    parser.add_argument("--update-docs", action="store_true", help="put it into docs/performance.md")
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(names):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    return options


def say(text: str) -> None:
    """Show on the terminal's last line what is going on."""
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
