"""`python -m benchmarks.peers`: this kernel beside others that run a notebook's kernel elsewhere.

All of them, ipykernel included, take turns on this machine. Messages that a peer loses fail the measure, not the run.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.contestants import LOCAL, POOL
from benchmarks.options import parse, say
from benchmarks.peers.measures import PEER_MEASURES
from benchmarks.peers.table import to_markdown
from benchmarks.report import conditions, describe_conditions, to_json, update_page
from benchmarks.rounds import Outcome, take

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"

PACKAGES = ("jupyter-kernel-gateway", "jupyter-server", "jupyter-kernel-client", "tornado", "websocket-client")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv, "python -m benchmarks.peers", __doc__, PEER_MEASURES)
    if missing := [name for name in ("kernel_gateway", "jupyter_kernel_client") if find_spec(name) is None]:
        print(f"The peers are not installed ({', '.join(missing)}): run them with 'make peers'.", file=sys.stderr)
        return 1
    outcomes = measure(options)
    _write(outcomes, options)
    return 1 if any({LOCAL, POOL} & outcome.lost.keys() for outcome in outcomes) else 0


def measure(options: argparse.Namespace) -> list[Outcome]:
    from benchmarks.peers.contestants import with_peers  # part of an extra

    began = time.monotonic()
    with with_peers() as found:
        measures = [measure for measure in PEER_MEASURES if measure.name in options.measures]
        outcomes = [take(measure, found, is_quick=options.quick, say=say) for measure in measures]
    say(f"{len(outcomes)} measures in {time.monotonic() - began:.0f} s")
    print(file=sys.stderr)
    return outcomes


def _write(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    fields = conditions(PACKAGES)
    text = f"{to_markdown(outcomes)}\n{describe_conditions(fields)}"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "peers.json").write_text(to_json([], outcomes, fields), encoding="utf-8")
    (options.output / "peers.md").write_text(text, encoding="utf-8")
    print(text)
    if options.update_docs:
        update_page(PAGE, {"peers": text})


if __name__ == "__main__":
    sys.exit(main())
