"""A flame graph shows each function as wide as its share of the samples."""

import re

from benchmarks.flames import draw, parse, whose

STACKS = """\
<module> (app.py:3);run (asyncio/runners.py:190);handle (remote_kernel/kernel/relay.py:10) 30
<module> (app.py:3);run (asyncio/runners.py:190);handle (remote_kernel/kernel/relay.py:12);dumps (json/__init__.py:1) 50
<module> (app.py:3);run (asyncio/runners.py:191) 20
<module> (app.py:3);run (asyncio/runners.py:191);EpollSelector.select (selectors.py:468) 900
"""


def test_lines_of_a_function_are_one_box() -> None:
    root = parse(STACKS)
    assert (root.samples, root.depth) == (100, 5)
    (module,) = root.calls.values()
    (run,) = module.calls.values()
    (handle,) = run.calls.values()
    assert (module.name, run.samples, handle.samples) == ("<module> (app.py)", 100, 80)
    assert [(call.name, call.samples) for call in handle.calls.values()] == [("dumps (json/__init__.py)", 50)]


def test_a_box_is_as_wide_as_its_share() -> None:
    drawn = draw(parse(STACKS), "cell & <others>")
    assert "cell &amp; &lt;others&gt;" in drawn
    widths = dict(re.findall(r"<title>(\w+) .*?: ([\d.]+%)</title>", drawn))
    assert widths == {"run": "100.0%", "handle": "80.0%", "dumps": "50.0%"}


def test_a_function_has_the_colour_of_its_owner() -> None:
    assert [whose(name) for name in ("a (remote_kernel/x.py)", "b (asyncio/x.py)", "c (json/x.py)")] == [
        "ours", "asyncio", "others",
    ]  # fmt: skip
