"""`python -m tests.soak`: hundreds of notebooks over lines that fail by chance; the numbers are printed at the end."""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.driver import Pool
from tests.faults.runs import Outcome, run_seed

ROOM = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many notebooks (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first one; the others follow (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time (default: %(default)s)")
    parser.add_argument("--flavor", default="custom", help="of the pool: custom or interpreter (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        use_private_home(Path(home))
        return soak(options.seed, options.runs, options.jobs, options.flavor)


def use_private_home(home: Path) -> None:
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        (home / name).mkdir()
        os.environ[name] = str(home / name)


def soak(first: int, runs: int, jobs: int, flavor: str) -> int:
    started = time.monotonic()
    total, bad = Outcome(), []
    options = ("--max-sessions", str(ROOM), "--ready", "2", "--flavor", flavor)
    with Pool.start(*options) as pool, ThreadPoolExecutor(jobs) as executor:
        waiting = [executor.submit(run_seed, pool, seed) for seed in range(first, first + runs)]
        for future in as_completed(waiting):
            outcome = future.result()
            total.add(outcome)
            if not outcome.is_good:
                bad.append(outcome)
            print(f"\r{total.runs} of {runs} runs, {len(bad)} bad", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(describe(total, time.monotonic() - started))
    for outcome in bad:
        print(f"bad: --seed {outcome.seed} --runs 1  {outcome}")
    return 1 if bad else 0


def describe(total: Outcome, seconds: float) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(total.faults.items()))
    return "\n".join(
        [
            f"runs                {total.runs:>12,}",
            f"faults injected     {total.faults.total():>12,}   ({kinds})",
            f"cells run           {total.cells:>12,}",
            f"cells run twice     {total.cells_twice:>12,}",
            f"cells lost          {total.cells_lost:>12,}",
            f"bytes expected      {total.bytes_expected:>12,}",
            f"bytes lost or wrong {total.bytes_wrong:>12,}",
            f"seconds             {seconds:>12,.0f}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
