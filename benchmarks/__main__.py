"""`python -m benchmarks`: this kernel and ipykernel side by side, every measure of docs/performance.md."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.contestants import contestants
from benchmarks.measures import MEASURES
from benchmarks.plot import draw
from benchmarks.report import Row, conditions, describe_conditions, rows_of, to_json, to_markdown, update_page
from benchmarks.rounds import Outcome, take

DOCS = Path(__file__).parent.parent / "docs"


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    measures = [measure for measure in MEASURES if measure.name in options.measures]
    names = {name for measure in measures for name in measure.of}
    began = time.monotonic()
    with contestants(names) as found:
        outcomes = [take(measure, found, is_quick=options.quick, say=_say) for measure in measures]
    _say(f"{len(outcomes)} measures in {time.monotonic() - began:.0f} s")
    print(file=sys.stderr)
    rows = rows_of(outcomes)
    _write(rows, outcomes, options)
    return 1 if any(outcome.lost for outcome in outcomes) else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [measure.name for measure in MEASURES]
    parser.add_argument(
        "measures", nargs="*", default=names, metavar="MEASURE", help=f"what to measure: {', '.join(names)} (all)"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: does it run, and is everything there?")
    parser.add_argument("--output", type=Path, default=Path(".build"), help="folder for bench.json, .md and .svg")
    parser.add_argument("--update-docs", action="store_true", help="put table and plot into docs/performance.md")
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(names):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    return options


def _say(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _write(rows: list[Row], outcomes: list[Outcome], options: argparse.Namespace) -> None:
    fields = conditions()
    table = to_markdown(rows)
    text = f"{table}\n{describe_conditions(fields)}"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "bench.json").write_text(to_json(rows, outcomes, fields), encoding="utf-8")
    (options.output / "bench.md").write_text(text, encoding="utf-8")
    draw(rows, options.output / "bench.svg")
    print(text)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"table": text})
        draw(rows, DOCS / "performance.svg")


if __name__ == "__main__":
    sys.exit(main())
