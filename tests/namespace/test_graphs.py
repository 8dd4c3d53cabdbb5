"""Graphs of objects with sharing and cycles across variables: what comes back is isomorphic."""

import itertools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
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


@pytest.mark.timeout(600)
@settings(max_examples=20)
@example(
    description=[
        {"kind": "closure", "parts": []},
        {"kind": "list", "parts": [0]},
        {"kind": "closure", "parts": []},
        {"kind": "list", "parts": [2]},
    ],
    roots=[1, 3],
    fork=True,
)
@given(
    description=st.lists(NODE, min_size=1, max_size=12),
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
        "[globals().pop(f'v{index}', None) for index in range(4)];\n"  # of an example that has failed
        "from tests.namespace import graphs\n"
        f"nodes = graphs.build({json.dumps(description)})\n{', '.join(names)}, = {chosen},\ndel nodes"
    )
    before = shared.value(f"graphs.describe({listed})")
    count = shared.value(f"graphs.components({listed})")
    has_function = shared.value(f"graphs.has_function({listed})")
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "saved")
        manifest = shared.save(saved, fork=fork)
        assert manifest["lost"] == []
        found = len(groups_of(saved, manifest)) - 1  # the module is one
        # Functions of variables are named by others, and two of one module share what is made of its globals.
        assert found == count or has_function
        shared.run(f"del graphs, {', '.join(names)}")
        report = shared.restore(Path(folder, "restored"), saved)
    assert report["lost"] == []
    assert shared.value(f"graphs.describe({listed})") == before
    shared.run(f"del graphs, {', '.join(names)}")
