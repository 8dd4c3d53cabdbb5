import sys

import pytest

from remote_kernel.namespace.bindings import bindings_of, imported_modules, last_cells


def bound(code: str) -> list[str]:
    return [name for name, is_bound in bindings_of(code) if is_bound]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a = b = 1", ["a", "b"]),
        ("a, (b, *c) = x", ["a", "b", "c"]),
        ("a += 1", ["a"]),
        ("a: int = 1", ["a"]),
        ("a.b = a[0] = 1", []),
        ("def f(x=1):\n    y = x", ["f"]),
        ("async def f(): pass", ["f"]),
        ("class C:\n    x = 1\n    def m(self): self.y = 2", ["C"]),
        ("def f():\n    global g\n    g = 1", ["f", "g"]),
        ("import a.b, c as d\nfrom e import f, g as h", ["a", "d", "f", "h"]),
        ("for i in x:\n    for j, k in i: y = 1", ["i", "j", "k", "y"]),
        ("with open(p) as file, lock: pass", ["file"]),
        ("if (n := 3): pass\nl = [(m := e) for e in x]", ["n", "l", "m"]),
        ("f = lambda x: (y := x)", ["f"]),
        ("try: a = 1\nexcept E: b = 1\nfinally: c = 1", ["a", "b", "c"]),
        ("get_ipython().run_cell_magic('time', '', 'x = 1\\n')", ["x"]),
        ("get_ipython().run_cell_magic('capture', 'out', 'x = 1\\n')", ["x", "out"]),
        ("get_ipython().run_line_magic('time', 'x = 1')", ["x"]),
        ("get_ipython().run_line_magic('run', 'x = 1')", []),
        ("x = get_ipython().getoutput('ls')", ["x"]),
        ("no python", []),
        ("a\0b", []),
    ],
)
def test_cell_binds_names(code: str, names: list[str]) -> None:
    assert sorted(bound(code)) == sorted(names)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no match statement")
def test_patterns_bind_names() -> None:
    code = "match x:\n    case [a, *b]: pass\n    case {'k': c, **d} as e: pass\n    case _: pass"
    assert sorted(bound(code)) == ["a", "b", "c", "d", "e"]


def test_last_cell_counts_until_the_name_is_deleted() -> None:
    assert last_cells([(1, "a = 1; b = 2"), (2, "a = 3"), (3, "del b"), (4, "c = 1")]) == {"a": 2, "c": 4}


def test_modules_in_packages_that_only_an_import_loads() -> None:
    assert imported_modules(["import a.b, c\nimport d.e as f", "def f():\n    import g.h.i"]) == {"a.b", "g.h.i"}
