"""`python -m benchmarks.state`: saving and restoring a notebook's variables, beside what people use instead.

Each way has a kernel, makes the same namespace, saves it, changes one variable, saves again, loses its interpreter,
restores, and is looked at: a variable that is not there or not what it was counts as lost.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.contestants import private_home
from benchmarks.options import say
from benchmarks.report import conditions, describe_conditions, update_page
from benchmarks.state.measuring import Outcome, measure
from benchmarks.state.namespaces import arrays, of_everyday, variables
from benchmarks.state.table import to_markdown
from benchmarks.state.ways import DILL, KISHU, OURS, ways

PAGE = Path(__file__).parents[2] / "docs" / "state.md"

PACKAGES = ("cloudpickle", "dill", "numpy")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="of arrays (default: %(default)s)")
    parser.add_argument("--variables", type=int, default=10_000, help="small ones (default: %(default)s)")
    parser.add_argument("--kishu", default="", metavar="PYTHON", help="of an environment with kishu")
    parser.add_argument("--update-docs", action="store_true", help="put the table into docs/state.md")
    options = parser.parse_args(argv)
    outcomes = _measure_all(options)
    text = f"{to_markdown(outcomes, (OURS, DILL, KISHU))}\n{describe_conditions(conditions(PACKAGES))}"
    print(text)
    if options.update_docs:
        update_page(PAGE, {"state": text})
    return 1 if any(of_ways[OURS].failed for of_ways in outcomes.values()) else 0


def _measure_all(options: argparse.Namespace) -> dict[str, dict[str, Outcome]]:
    path = Path(options.kishu).absolute()  # kernels are started in folders of their own
    kishu = str(path) if options.kishu and path.exists() else ""
    namespaces = [arrays(options.megabytes), variables(options.variables), of_everyday()]
    outcomes: dict[str, dict[str, Outcome]] = {}
    with private_home(), tempfile.TemporaryDirectory(prefix="rk-") as name, ways(Path(name), kishu) as found:
        for namespace in namespaces:
            for way, make in found.items():
                say(f"{namespace.title}: {way} …")
                outcomes.setdefault(namespace.title, {})[way] = measure(make(), namespace)
    print(file=sys.stderr)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
