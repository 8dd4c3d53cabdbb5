"""Restores of a part, over other values, and of what cannot be loaded."""

import json
from pathlib import Path

import pytest

from remote_kernel.namespace.files.objects import ObjectWriter
from remote_kernel.namespace.files.packs import Group, encode_pack
from tests.namespace.conftest import Start
from tests.namespace.interpreter import Interpreter, contents, reasons, wait_end

pytestmark = pytest.mark.timeout(400)  # for a machine that does much else


def saved_with(start: Start, folder: Path, *cells: str) -> None:
    with start() as interpreter:
        interpreter.run(*cells)
        interpreter.save(folder)


def restored_names(report: "dict[str, list[dict[str, str]]]") -> list[str]:
    return sorted(each["name"] for each in report["restored"])


def change(saved: Path, **changes: object) -> None:
    """Write the groups of a save anew, with other fields."""
    manifest = json.loads((saved / "manifest.json").read_text())
    groups, lost = contents(saved, manifest)
    changed = [Group(**{**vars(group), **changes}) for group in groups]
    manifest["packs"] = [{"objects": ObjectWriter(str(saved / "objects"), ()).write(encode_pack(changed, lost))}]
    (saved / "manifest.json").write_text(json.dumps(manifest))


def test_some_variables_come_back_and_nothing_around_them(start: Start, tmp_path: Path) -> None:
    saved_with(
        start, tmp_path / "saved", "import random; random.seed(1)", "a = [1]; b = [a]; c = 3; d = (x for x in a)", "c"
    )
    after = start()
    after.run("import random; random.seed(2)")
    report = after.restore(tmp_path / "restored", tmp_path / "saved", names=["b", "c", "d", "none"])
    assert (restored_names(report), report["conflicts"]) == (["b", "c"], [])
    made = "cell 2 of that session made it: a = [1]; b = [a]; c = 3; d = (x for x in a)"
    assert reasons(report) == {"d": f"is a generator; {made}"}
    after.run("assert b == [[1]] and c == 3 and 'a' not in globals() and not Out")
    after.run("assert random.random() == random.Random(2).random()")
    assert after.value("len(In)") == 4


def test_what_a_variable_needs_is_loaded_and_gets_no_name(start: Start, tmp_path: Path) -> None:
    saved_with(
        start, tmp_path / "saved", "class A:\n    def f(self): return helper()", "def helper(): return 5",
        "class B(A): pass", "one, other = B(), B()", "call = one.f; table = {'h': helper}",
    )  # fmt: skip
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved", names=["one", "table"])
    assert (restored_names(report), report["lost"]) == (["one", "table"], [])
    after.run("assert [name for name in ('A', 'B', 'helper', 'other', 'call') if name in globals()] == []")
    after.run("assert type(one).__mro__[1].__name__ == 'A' and table['h']() == 5")
    report = after.restore(tmp_path / "rest", tmp_path / "saved", names=["A", "B", "helper", "other", "call"])
    assert report["lost"] == []
    after.run("assert type(one) is type(other) is B and one.f() == call() == 5 and issubclass(B, A)")


def test_other_values_are_told_before_anything_is_loaded(start: Start, tmp_path: Path) -> None:
    saved_with(
        start,
        tmp_path / "saved",
        "import math, os.path as p",
        "from math import sqrt",
        "a = 1; b = [2]; c = 'same'; d = 4",
    )
    after = start()
    after.run("import math, os.path as p", "from math import sqrt", "a = 2; b = [2]; c = 'same'")
    report = after.restore(tmp_path / "restored", tmp_path / "saved")
    assert report == {"restored": [], "lost": [], "warnings": [], "conflicts": ["a", "b"]}
    after.run("assert a == 2 and 'd' not in globals()")
    assert json.loads((tmp_path / "restored" / "report.json").read_text()) == report
    assert after.restore(tmp_path / "other", tmp_path / "saved", names=["c", "d"])["conflicts"] == []
    report = after.restore(tmp_path / "forced", tmp_path / "saved", force=True)
    assert restored_names(report) == ["a", "b", "c", "d", "math", "p", "sqrt"]
    after.run("assert a == 1 and d == 4")


def test_restoring_twice_gives_the_same(start: Start, tmp_path: Path) -> None:
    saved_with(start, tmp_path / "saved", "class A: made = []\na = A(); A.made.append(a)\ndef f(): return a", "f")
    after = start()
    for name in ("first", "second"):
        report = after.restore(tmp_path / name, tmp_path / "saved", force=True)
        assert restored_names(report) == ["A", "a", "f"]
        after.run("assert f() is a and A.made == [a] and type(a) is A and Out[2] is not None")


@pytest.mark.slow
def test_group_that_cannot_be_loaded_costs_no_other(start: Start, tmp_path: Path) -> None:
    saved_with(
        start, tmp_path / "saved",
        "import time, os, builtins\nbuiltins.here = True\ndef check(what):\n    import builtins, time\n"
        "    if not hasattr(builtins, 'here'): exec(what, {'time': time})\n    return what",
        "class Cold:\n    def __init__(self, what): self.what = what\n"
        "    def __reduce__(self): return check, (self.what,)",
        "slow = Cold('while True: pass'); wrong = Cold('1 / 0'); ends = Cold('raise SystemExit')",
        "loud = Cold('print(5)'); fine = 5",
    )  # fmt: skip
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved", group_seconds=10)
    assert reasons(report) == {
        "slow": "took longer than 10 s",
        "wrong": "could not be loaded: ZeroDivisionError: division by zero",
        "ends": "could not be loaded: SystemExit",
    }
    assert "fine" in restored_names(report)
    assert "loud" in restored_names(report)


def test_what_loading_says_is_in_the_report(start: Start, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(
        "import warnings\ndef check(text):\n    print(text)\n    warnings.warn(text)\n"
        "    warnings.warn('no', DeprecationWarning)\n    return text\n"
        "class Thing:\n    def __reduce__(self): return check, ('of  another\\nversion',)\n"
        "def load_ipython_extension(shell): print('loaded')"
    )
    saved_with(
        start, tmp_path / "saved", f"import sys; sys.path.append({str(tmp_path)!r})",
        "import beside; thing, other = beside.Thing(), beside.Thing()", "%load_ext beside",
    )  # fmt: skip
    after = start()
    after.run("import sys, io; sys.stdout = seen = io.StringIO()")
    report = after.restore(tmp_path / "restored", tmp_path / "saved", force=True)
    after.run("sys.stdout = sys.__stdout__")
    assert (report["warnings"], restored_names(report)) == (
        ["UserWarning: of another version"], ["beside", "other", "sys", "thing"],
    )  # fmt: skip
    assert after.value("seen.getvalue()") == ""


def test_missing_module_and_other_versions_are_told(start: Start, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("class Thing: pass")
    saved_with(
        start, tmp_path / "saved", f"import sys; sys.path.append({str(tmp_path)!r})",
        "import beside, numpy; thing = beside.Thing()",
        "array = numpy.zeros(3); number = 5", "def f(): pass",
    )  # fmt: skip
    (tmp_path / "beside.py").unlink()
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved", names=["thing", "beside", "number"])
    needs = "needs the module beside, which is not in the session"
    assert (reasons(report), restored_names(report)) == ({"thing": needs, "beside": needs}, ["number"])

    change(tmp_path / "saved", requires={"numpy": "0.1", "PIL.none": "", "python": "3.99"}, distributions={})
    report = after.restore(tmp_path / "other", tmp_path / "saved", names=["number"])
    assert reasons(report)["number"].startswith("holds code of Python 3.99, and the session's is 3.")
    change(tmp_path / "saved", requires={"numpy": "0.1", "no_such": "1.5"}, distributions={"no_such": "no-such"})
    report = after.restore(tmp_path / "third", tmp_path / "saved", names=["array"])
    assert reasons(report) == {"array": "needs no_such, which is not in the session: %pip install no-such==1.5"}
    assert report["warnings"][0].startswith("numpy is ")
    answer = after.call("compare", python="3.99.0", libraries={"numpy": "0.1", "no_such": "1"})
    assert [text.split()[0] for text in answer["warnings"]] == ["Python", "no_such", "numpy"]


def test_damaged_object_costs_what_is_in_it(start: Start, tmp_path: Path) -> None:
    saved_with(start, tmp_path / "saved", "import numpy", "array = numpy.arange(100_000); other = 5")
    (group,) = [
        group
        for group in contents(tmp_path / "saved", json.loads((tmp_path / "saved" / "manifest.json").read_text()))[0]
        if group.buffers
    ]
    path = tmp_path / "saved" / "objects" / group.buffers[0][0][0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved")
    assert restored_names(report) == ["numpy", "other"]
    assert "is damaged" in reasons(report)["array"] or "is not what was saved" in reasons(report)["array"]


def test_pack_that_is_missing_ends_the_restore(start: Start, tmp_path: Path) -> None:
    saved_with(start, tmp_path / "saved", "a = 5")
    for path in (tmp_path / "saved" / "objects").iterdir():
        path.unlink()
    after: Interpreter = start()
    answer = after.restore(tmp_path / "restored", tmp_path / "saved")
    assert answer["problem"].startswith("The save cannot be read: the file ")
    assert wait_end(tmp_path / "restored")["problem"] == answer["problem"]
    after.run("assert 'a' not in globals()")


@pytest.mark.parametrize("more", ["w = 4; v = 5", ""], ids=["older", "younger"])
def test_number_of_a_cell_that_is_another_one_is_not_told(start: Start, tmp_path: Path, more: str) -> None:
    saved_with(start, tmp_path / "saved", "import math", "rows = (i for i in range(3))", "other = (i for i in 'ab')")
    after = start()
    after.run("import math", "rows_of_another = 'what nobody wants to run'", *filter(None, [more] * 3))
    report = after.restore(tmp_path / "restored", tmp_path / "saved", force=True)
    cells = {each["name"]: each["cell"] for each in report["lost"]}
    assert cells == {"rows": None, "other": None if more else 3}
    made = "cell 2 of that session made it: rows = (i for i in range(3))"
    assert reasons(report)["rows"] == f"is a generator; {made}"
    assert reasons(report)["other"].startswith("is a generator;" if more else "is a generator")
    if not more:
        assert "generator object" in after.value("get_ipython().run_line_magic('rerun', '3') or repr(other)")


def test_instance_alone_is_of_the_class_that_the_session_has(start: Start, tmp_path: Path) -> None:
    saved_with(start, tmp_path / "saved", "class Model:\n    w = 1", "model = Model(); model.data = [1]")
    after = start()
    after.run("class Model:\n    w = 2")
    report = after.restore(tmp_path / "restored", tmp_path / "saved", names=["model"])
    assert (restored_names(report), report["lost"]) == (["model"], [])
    assert report["warnings"] == ["the session's own 'Model' is used, which may be another one than was saved"]
    after.run("assert isinstance(model, Model) and model.w == 2 and model.data == [1]")
    assert after.restore(tmp_path / "all", tmp_path / "saved", force=True)["warnings"] == []
    after.run("assert model.w == 1 and type(model) is Model", "Model.w = 5; Model.new = 1")
    after.restore(tmp_path / "again", tmp_path / "saved", names=["model"], force=True)
    after.run("assert isinstance(model, Model) and (Model.w, Model.new) == (5, 1)")


def test_header_of_a_pack_names_what_its_groups_want(start: Start, tmp_path: Path) -> None:
    saved_with(start, tmp_path / "saved", "class A: pass", "def f(): return 1", "one = A(); table = {'f': f}")
    groups, _ = contents(tmp_path / "saved", json.loads((tmp_path / "saved" / "manifest.json").read_text()))
    wants = {group.variables[0].name: list(group.wants) for group in groups}
    assert (wants["one"], wants["table"], wants["A"], wants["f"]) == (["A"], ["f"], [], [])


def test_call_that_is_none_has_an_answer(start: Start) -> None:
    assert start().call("save")["problem"].startswith("The call 'save' has failed: TypeError: ")
