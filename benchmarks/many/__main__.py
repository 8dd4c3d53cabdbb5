"""`python -m benchmarks.many`: many notebooks on one local pool, and the pool's front door under load."""

import argparse
import sys
from pathlib import Path

from benchmarks.contestants import private_home
from benchmarks.many import front_door, notebooks
from benchmarks.many.places import light_pool
from benchmarks.report import conditions, describe_conditions, update_page
from remote_kernel.io.system.open_files import allow_many_files

DOCS = Path(__file__).parent.parent.parent / "docs"


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    allow_many_files()
    rows: list[tuple[str, str]] = []
    with private_home():
        if options.kernels:
            with light_pool(options.kernels, ready=5) as place:
                found = notebooks.measure(
                    place, kernels=options.kernels, cells=options.cells, idle_seconds=options.idle
                )
            rows += notebooks.describe(found)
        if options.sessions:
            with light_pool(options.sessions, ready=5) as place:
                load = front_door.measure(place, sessions=options.sessions, rate=options.rate, seconds=options.seconds)
            rows += front_door.describe(load)
    table = "\n".join(["| what | |", "|---|--:|", *(f"| {what} | {value} |" for what, value in rows)])
    text = f"{table}\n\n{describe_conditions(conditions())}"
    print(text)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"many": text})
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    add = parser.add_argument
    add("--kernels", type=int, default=50, help="notebooks' kernels at once; 0 for none (default: %(default)s)")
    add("--cells", type=int, default=20, help="cells of each (default: %(default)s)")
    add("--idle", type=float, default=60, help="seconds in which nothing happens then (default: %(default)s)")
    add("--sessions", type=int, default=600, help="at the front door; 0 for none (default: %(default)s)")
    add("--rate", type=float, default=1000, help="requests a second to them, in all (default: %(default)s)")
    add("--seconds", type=float, default=10, help="how long (default: %(default)s)")
    add("--update-docs", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
