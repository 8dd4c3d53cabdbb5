"""The table of saves, and how a way with a namespace is measured."""

from pathlib import Path

import pytest

from benchmarks.contestants import private_home
from benchmarks.state.measuring import Outcome, measure
from benchmarks.state.namespaces import Namespace, arrays, of_everyday, variables
from benchmarks.state.table import to_markdown
from benchmarks.state.ways import DILL, OURS, ways


def test_the_table_says_what_each_took_and_lost() -> None:
    ours = Outcome(
        saved_seconds=1.25, saved_bytes=10**9, again_seconds=0.5, again_bytes=4 * 10**6, restored_seconds=0.123,
        lost=("file", "rows"),
    )  # fmt: skip
    theirs = Outcome(saved_seconds=2.0, saved_bytes=10**9, failed="TypeError a|b")
    outcomes = {"arrays": {"this kernel": ours, "dill": theirs}}
    assert to_markdown(outcomes, ("this kernel", "dill", "kishu")).splitlines()[2:] == [
        "| **arrays**: first save | 1.2 s, 1.0 GB | 2.0 s, 1.0 GB | not installed here |",
        "| … one variable later | 500 ms, 4.0 MB | – | not installed here |",
        "| … restored | 123 ms | – | not installed here |",
        "| … cells run again | 0 | – | not installed here |",
        "| … lost | `file`, `rows` | everything: `TypeError a\\|b` | not installed here |",
    ]


def test_of_many_lost_variables_some_are_named() -> None:
    outcomes = {"x": {"dill": Outcome(lost=tuple(f"v{number}" for number in range(1009)))}}
    assert "`v7` and 1,001 more" in to_markdown(outcomes, ("dill",))


@pytest.mark.parametrize("namespace", [arrays(1), variables(10), of_everyday()], ids=lambda each: each.title)
def test_every_variable_is_there_once_the_cells_have_run(namespace: Namespace) -> None:
    space: dict[str, object] = {}
    for cell in (*namespace.cells, namespace.change):
        exec(cell, space)
    for expression in namespace.looks.values():
        assert repr(eval(expression, space))
    if "end" in space:
        space["end"].set()  # type: ignore[attr-defined]
        space["file"].close()  # type: ignore[attr-defined]
        space["database"].close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_way_is_measured_by_what_comes_back(tmp_path: Path) -> None:
    with private_home(), ways(tmp_path, "") as found:
        assert set(found) == {OURS, DILL}
        outcome = measure(found[DILL](), variables(20))
        assert (outcome.failed, outcome.lost, outcome.ran_again) == ("", (), 0)
        assert outcome.saved_bytes > 1000
        assert min(outcome.saved_seconds, outcome.again_seconds, outcome.restored_seconds) > 0
        assert "generator" in measure(found[DILL](), of_everyday()).failed
