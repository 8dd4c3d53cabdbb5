"""`python -m benchmarks.scale`: what a day of 10,000 notebooks on 600 sessions looks like (docs/scale.md)."""

import argparse
import sys
from pathlib import Path

from benchmarks.report import update_page
from benchmarks.scale.day import Day, Policy
from benchmarks.scale.people import MINUTE, Person, draw_batch, draw_people
from benchmarks.scale.report import Outcome, draw, to_markdown
from remote_kernel.core.identity import Scope
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.settings import DEFAULT_KEEPALIVE_MINUTES
from remote_kernel.pool.sessions import Limits

DOCS = Path(__file__).parents[2] / "docs"

POLICIES = (
    Policy(
        title="`notebook`, warm for 30 min",
        scope=Scope.NOTEBOOK,
        keepalive_seconds=DEFAULT_KEEPALIVE_MINUTES * MINUTE,
    ),
    Policy(title="`notebook`, warm for 0 min", scope=Scope.NOTEBOOK, keepalive_seconds=0.0),
    Policy(
        title="`project`, warm for 30 min",
        scope=Scope.PROJECT,
        keepalive_seconds=DEFAULT_KEEPALIVE_MINUTES * MINUTE,
    ),
)

BATCH = Policy(title="all at once, each given back at its end", scope=Scope.NOTEBOOK, keepalive_seconds=0.0)


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    limits = Limits(max_sessions=options.sessions, cooldown_seconds=options.cooldown, ready=options.ready)
    people = draw_people(options.people, options.notebooks, options.seed)
    days = [_simulate(people, policy, limits, options.seed) for policy in POLICIES]
    batch = draw_batch(options.people * options.notebooks, options.seed)
    tables = {
        "day": to_markdown(days, options.sessions),
        "batch": to_markdown([_simulate(batch, BATCH, limits, options.seed)], options.sessions),
    }
    print("\n".join(tables.values()))
    options.output.mkdir(parents=True, exist_ok=True)
    draw(days, options.sessions, options.output / "scale.svg")
    if options.update_docs:
        draw(days, options.sessions, DOCS / "scale.svg")
        update_page(DOCS / "scale.md", tables)
    return 0


def _simulate(people: list[Person], policy: Policy, limits: Limits, seed: int) -> Outcome:
    print(f"simulating {policy.title} …", file=sys.stderr)
    return Outcome(policy, Day(people, policy, limits, seed).run())


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add("--people", type=int, default=500, help="how many work on the day (default: %(default)s)")
    add("--notebooks", type=int, default=20, help="how many notebooks each of them has (default: %(default)s)")
    add("--sessions", type=int, default=600, help="the pool's ceiling (default: %(default)s)")
    add("--ready", type=int, default=20, help="the pool's ready sessions (default: %(default)s)")
    add("--cooldown", type=float, default=DEFAULT_COOLDOWN_SECONDS, help="its cooldown, seconds (default: %(default)g)")
    add("--seed", type=int, default=1, help="another seed is another day (default: %(default)s)")
    add("--output", type=Path, default=Path(".build"), help="folder for scale.svg (default: %(default)s)")
    add("--update-docs", action="store_true", help="put table and plot into docs/")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
