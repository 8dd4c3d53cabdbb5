"""Graphs of objects with sharing and cycles across variables: what comes back is isomorphic."""

import itertools
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.namespace.graphs import Description
from tests.namespace.interpreter import Interpreter, groups_of

NODE = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["list", "dict", "object", "closure", "tuple"]),
        "parts": st.lists(st.integers(0, 20), max_size=3),
    }
)
_names = itertools.count()


@settings(max_examples=30)
@given(
    description=st.lists(NODE, min_size=1, max_size=10),
    roots=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    fork=st.integers(0, 9).map(lambda number: number == 0),
)
def test_what_comes_back_is_isomorphic(
    shared: Interpreter, description: Description, roots: list[int], fork: bool
) -> None:
    names = [f"v{index}" for index in range(len(roots))]
    listed = f"[{', '.join(names)}]"
    chosen = ", ".join(f"nodes[{root} % len(nodes)]" for root in roots)
    shared.run(
        "from tests.namespace import graphs\n"
        f"nodes = graphs.build({json.dumps(description)})\n{', '.join(names)}, = {chosen},\ndel nodes"
    )
    before = shared.value(f"graphs.describe({listed})")
    count = shared.value(f"graphs.components({listed})")
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "saved")
        manifest = shared.save(saved, fork=fork)
        assert manifest["lost"] == []
        assert len(groups_of(saved, manifest)) == count + 1, "each set that shares something, and the module"
        shared.run(f"del graphs, {', '.join(names)}")
        report = shared.restore(Path(folder, "restored"), saved)
    assert report["lost"] == []
    assert shared.value(f"graphs.describe({listed})") == before
    shared.run(f"del graphs, {', '.join(names)}")
