"""`python -m benchmarks`: this kernel and ipykernel side by side, every measure of docs/performance.md."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.contestants import contestants
from benchmarks.measures import MEASURES
from benchmarks.options import parse, say
from benchmarks.plot import draw
from benchmarks.report import Row, conditions, describe_conditions, rows_of, to_json, to_markdown, update_page
from benchmarks.rounds import Outcome, take

DOCS = Path(__file__).parent.parent / "docs"


def main(argv: list[str] | None = None) -> int:
    options = parse(argv, "python -m benchmarks", __doc__, MEASURES)
    measures = [measure for measure in MEASURES if measure.name in options.measures]
    names = {name for measure in measures for name in measure.of}
    began = time.monotonic()
    with contestants(names) as found:
        outcomes = [take(measure, found, is_quick=options.quick, say=say) for measure in measures]
    say(f"{len(outcomes)} measures in {time.monotonic() - began:.0f} s")
    print(file=sys.stderr)
    rows = rows_of(outcomes)
    _write(rows, outcomes, options)
    return 1 if any(outcome.lost for outcome in outcomes) else 0


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
