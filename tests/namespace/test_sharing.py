"""Objects that see the changes of others: they do so again when they are restored, or are lost with a reason."""

from pathlib import Path

import pytest

from tests.namespace.conftest import Start
from tests.namespace.interpreter import Interpreter, contents, reasons

pytestmark = pytest.mark.timeout(400)  # for a machine that does much else


def through(start: Start, folder: Path, *cells: str) -> tuple[Interpreter, dict[str, str]]:
    """Return an interpreter into which was restored what another one had after these cells, and what was lost."""
    with start() as before:
        before.run(*cells)
        before.save(folder / "saved")
    after = start()
    report = after.restore(folder / "restored", folder / "saved")
    assert report["warnings"] == []
    return after, reasons(report)


def test_views_of_mappings_see_their_changes(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import collections, types, dataclasses, enum",
        "d = {'a': 1}; keys, values, items = d.keys(), d.values(), d.items(); own = {}; own['keys'] = own.keys()",
        "ordered = collections.OrderedDict(a=1); newest = ordered.keys()",
        "proxy = types.MappingProxyType(d); alone = types.MappingProxyType({'b': 2})",
        "class A: x = 1\nnames = vars(A)",
        "class Color(enum.Enum): RED = 1\nmembers = Color.__members__",
        "@dataclasses.dataclass\nclass B: x: int = 1\n\n@dataclasses.dataclass\nclass C: x: int = 1",
    )  # fmt: skip
    assert lost == {}
    after.run(
        "d['b'] = 2; assert list(keys) == ['a', 'b'] and list(values) == [1, 2] and ('b', 2) in items",
        "assert proxy['b'] == 2 and alone['b'] == 2 and list(own['keys']) == ['keys']",
        "ordered['c'] = 1; assert list(newest) == ['a', 'c'] and type(newest) is type(ordered.keys())",
        "A.y = 5; assert names['y'] == 5 and type(names) is types.MappingProxyType and members['RED'] is Color.RED",
        "assert B() == B(1) and dataclasses.fields(C)[0].metadata is dataclasses.fields(B)[0].metadata",
    )


def test_views_of_other_memory_than_plain_arrays_see_its_changes(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import array, numpy as np",
        "data = bytearray(16); one = np.frombuffer(data, 'u1'); two = np.frombuffer(data, 'i4', offset=4)",
        "ints = array.array('i', [1, 2, 3]); seen = np.frombuffer(ints, 'i4'); text = np.frombuffer(b'abc', 'u1')",
        "alike = (lambda hidden: [np.frombuffer(hidden, 'u1'), np.frombuffer(hidden, 'u1')[1:]])(bytearray(8))",
        "objects = np.array([1, 'a', None, []], dtype=object); part = objects[::-2]; grid = objects.reshape(2, 2).T",
        "table = np.rec.array([(1, 2.0), (3, 4.0)], names='x,y'); x = table.x",
        "matrix = np.matrix([[1, 2], [3, 4]]); plain = np.asarray(matrix)",
        "masked = np.ma.array([1, 2, 3], mask=[0, 1, 0]); bare = masked.data; no_mask = np.ma.array([1, 2])",
        "class Named(np.ndarray): pass\nnamed = np.arange(5).view(Named); named.note = [named]",
        "permuted = np.empty_like(np.zeros((4, 3, 2)).transpose(1, 0, 2)); permuted[:] = 1; plane = permuted[1]",
        "fixed = np.arange(5); writes = fixed[1:3]; fixed.flags.writeable = False",
    )  # fmt: skip
    assert lost == {}
    after.run(
        "data[0] = data[4] = 7; assert (one[0], two[0], one.flags.writeable) == (7, 7, True)",
        "ints[0] = 9; assert seen[0] == 9 and bytes(text) == b'abc' and not text.flags.writeable",
        "alike[0][1] = 5; assert alike[1][0] == 5",
        "objects[1] = 'b'; assert part.tolist() == [[], 'b'] and grid[1, 0] == 'b'; grid[0, 0] = 4; "
        "assert objects[0] == 4",
        "table.x[0] = 8; assert x[0] == 8 and type(table) is np.recarray and table[1].y == 4.0",
        "matrix[0, 0] = 6; assert plain[0, 0] == 6 and type(matrix) is np.matrix",
        "masked[0] = 5; assert bare[0] == 5 and masked.tolist() == [5, None, 3] and no_mask.mask is np.ma.nomask",
        "assert type(named) is Named and named.note[0] is named and named.tolist() == [0, 1, 2, 3, 4]",
        "permuted[1, 2, 1] = 3; assert plane[2, 1] == 3 and permuted.sum() == 26 and permuted.flags.owndata",
        "writes[0] = 11; assert fixed[1] == 11 and not fixed.flags.writeable and writes.flags.writeable",
    )


def test_views_that_cannot_be_made_again_are_lost(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import numpy as np",
        "table = np.array([(1, 'a'), (2, 'b')], dtype=[('number', 'i4'), ('text', object)]); texts = table['text']",
        "alone = (lambda hidden: hidden['text'])(table.copy())",
    )  # fmt: skip
    assert set(lost) == {"texts"}
    assert "a view of a part of an array that holds objects" in lost["texts"]
    after.run("assert table['text'].tolist() == alone.tolist() == ['a', 'b']")


def test_arrays_whose_elements_overlap_keep_their_strides(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import numpy as np",
        "row = np.broadcast_to(np.arange(3), (4, 3)); wide = np.broadcast_to(1.0, (40_000, 40_000))",
        "windows = np.lib.stride_tricks.sliding_window_view(np.arange(100_000.0), 5000); back = windows[::-1, ::-1]",
        "shared = np.zeros(4); both = np.lib.stride_tricks.as_strided(shared[:2], (2, 2), (8, 8)); del shared",
        "lone = np.arange(10_000)[::100]",
    )  # fmt: skip
    assert lost == {}
    after.run(
        "assert row.strides == (0, 8) and row[3].tolist() == [0, 1, 2] and not row.flags.writeable",
        "assert wide.strides == (0, 0) and wide.shape == (40_000, 40_000) and wide[-1, -1] == 1",
        "assert windows[7, 3] == 10 and windows.strides == (8, 8) and back[0, 0] == 99_999 and back[-1, -1] == 0",
        "both[0, 1] = 5; assert both[1, 0] == 5 and lone.tolist() == list(range(0, 10_000, 100))",
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a system without it")
def test_array_in_pieces_that_is_too_large_is_not_copied(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import numpy as np; big = np.empty((30_000, 30_000), 'u1')[:, ::2]",
            "class Look:\n    def __reduce__(self):\n        lines = open('/proc/self/status').read().split('VmHWM:')\n"
            f"        open({str(tmp_path / 'peak')!r}, 'w').write(lines[1].split()[0]); return Look, ()\nlook = Look()",
        )
        manifest = interpreter.save(tmp_path / "saved", group_bytes=100_000_000)
    assert manifest["lost"] == ["big"]
    assert int((tmp_path / "peak").read_text()) < 400_000


def test_functions_of_other_names_see_their_changes(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "names = {}; exec('k = 1\\ndef f(): return k\\ndef g():\\n    global k\\n    k += 1', names); f = names['f']",
        "hidden = {}; exec('n = 0\\ndef up():\\n    global n\\n    n += 1\\ndef get(): return n', hidden)",
        "up, get = hidden['up'], hidden['get']; del hidden",
        "inner = {}; exec('def make(): return lambda: z\\nz = 1', inner); see = inner['make']()",
    )  # fmt: skip
    assert lost == {}
    after.run("names['k'] = 5; assert f() == 5 and names['f'] is f", "names['g'](); assert f() == 6")
    after.run("up(); up(); assert get() == 2", "inner['z'] = 3; assert see() == 3")


def test_weak_ones_stay_weak_or_are_lost(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import weakref\nclass A:\n    def __init__(self): self.x = 1\na = A(); proxy = weakref.proxy(a)",
        "calls = weakref.proxy(A); gone = weakref.proxy(A())",
        "told = weakref.proxy(a, print); end = weakref.finalize(a, print)",
    )  # fmt: skip
    assert lost == {"gone": "is a weak proxy", "told": "is a weak proxy", "end": "is a finalizer"}
    after.run("a.x = 5; assert type(proxy) is weakref.ProxyType and proxy.x == 5")
    after.run("assert type(calls) is weakref.CallableProxyType and calls().x == 1")


def test_what_means_itself_alone_stays_itself(start: Start, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("missing = object()\ndef is_missing(x): return x is missing")
    after, lost = through(
        start, tmp_path,
        f"import sys; sys.path.append({str(tmp_path)!r}); import beside, argparse, datetime",
        "parser = argparse.ArgumentParser(); parser.add_argument('--x'); none = [beside.missing]",
        "MISSING = object(); kept = [MISSING]\ndef given(x=MISSING): return x is MISSING",
        "class Metres(float): pass\nm = Metres(3); lengths = [m]",
        "class Zone(datetime.tzinfo): pass\nzone = Zone(); zones = [zone]",
    )  # fmt: skip
    assert lost == {}
    after.run("assert str(parser.parse_args([])) == 'Namespace(x=None)' and beside.is_missing(none[0])")
    after.run("assert kept[0] is MISSING and given() and lengths[0] is m == 3 and zones[0] is zone")


def test_objects_that_answer_for_all_names_come_back(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "class Proxy:\n    def __init__(self, data): self.data = data\n"
        "    def __getattr__(self, name): return self.data[name]\nproxy = Proxy({'q': 1}); proxy.data['me'] = proxy",
        "class Dot(dict):\n    __getattr__ = dict.__getitem__\ndot = Dot(a=1); object.__setattr__(dot, 'note', [dot])",
        "class Slotted:\n    __slots__ = ('a',)\n    def __getattr__(self, name): return self.a[name]\n"
        "slotted = Slotted(); slotted.a = {'b': 2}",
    )  # fmt: skip
    assert lost == {}
    after.run("assert proxy.q == 1 and proxy.me is proxy and dot.a == 1 and dot.note[0] is dot and slotted.b == 2")


def test_object_that_cannot_be_asked_for_its_class_does_not_spoil_the_save(start: Start, tmp_path: Path) -> None:
    after, _ = through(
        start, tmp_path,
        "class Meta(type):\n    def __getattribute__(cls, name): raise ReferenceError\nclass Odd(metaclass=Meta): pass",
        "class Shy:\n    @property\n    def __class__(self): raise ReferenceError\nshy = Shy()", "other = [1]",
    )  # fmt: skip
    after.run("assert other == [1]")


def test_classes_come_back_unseen_by_what_counts_them(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import abc\nclass Meta(abc.ABCMeta):\n    made = []\n    def __new__(meta, name, bases, names):\n"
        "        kind = super().__new__(meta, name, bases, names); meta.made.append(name); registry[name] = kind\n"
        "        return kind\nregistry = {}",
        "class One(metaclass=Meta): pass\nclass Two(One):\n    def f(self): return super().__hash__()\ntwo = Two()",
        "class Plugin:\n    found = []\n    def __init_subclass__(cls, key, **rest):\n        cls.key = key\n"
        "        Plugin.found.append(cls); plugins[key] = cls\nplugins = {}",
        "import typing; T = typing.TypeVar('T')\nclass Box(typing.Generic[T], metaclass=Meta): pass\nbox = Box[int]()",
        "class A(Plugin, key='a'): pass\nclass B(A, key='b'): pass\nb = B()",
    )  # fmt: skip
    assert lost == {}
    after.run(
        "assert Meta.made == ['One', 'Two', 'Box'] and registry == {'One': One, 'Two': Two, 'Box': Box} and two.f()",
        "assert type(two) is Two and type(box) is Box and Box.__orig_bases__ == (typing.Generic[T],)",
        "assert Plugin.found == [A, B] and plugins == {'a': A, 'b': B} and (A.key, b.key) == ('a', 'b')",
        "class C(B, key='c'): pass\nassert plugins['c'] is C",
        "class Three(One): pass\nassert registry['Three'] is Three",
    )


def test_class_that_has_not_changed_has_the_same_bytes_in_each_save(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("class A:\n    def f(self): return 1", "a = A()")
        packs = [interpreter.save(tmp_path / name)["packs"] for name in ("first", "second")]
    with start() as interpreter:
        interpreter.restore(tmp_path / "restored", tmp_path / "first")
        packs += [interpreter.save(tmp_path / name)["packs"] for name in ("third", "fourth")]
    assert packs[0][0] == packs[1][0]
    assert packs[2][0] == packs[3][0]


def test_member_that_is_too_large_costs_itself_and_not_what_shares_with_it(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import os; settings = {'n': 1}", "a = {'s': settings, 'data': os.urandom(700_000)}",
            "b = {'s': settings, 'data': os.urandom(600_000)}; c = [settings]",
        )  # fmt: skip
        manifest = interpreter.save(tmp_path / "saved", group_bytes=1_000_000)
    assert manifest["lost"] == ["a"]
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved")
    why = "it is larger than the 1 MB that are saved of one variable"
    assert reasons(report) == {"a": f"shares objects with 'b', 'c', 'settings', and together: {why}"}
    after.run("assert b['s'] is c[0] is settings")


def test_exceptions_keep_what_they_were_raised_from(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "class Failed(Exception):\n    def __init__(self, code, *, where): super().__init__(f'code {code}'); "
        "self.code, self.where = code, where",
        "failed = Failed(3, where='here'); failed.me = [failed]; plain = KeyError('a'); stop = StopIteration(5)",
        "try:\n    try: 1 / 0\n    except ZeroDivisionError as inner: raise Failed(4, where='there') from inner\n"
        "except Failed as error: caught = error",
        "try:\n    try: 1 / 0\n    finally: [].pop()\nexcept IndexError as error: second = error",
    )  # fmt: skip
    assert lost == {}
    after.run(
        "assert (str(failed), failed.code, failed.where, failed.me[0] is failed) == ('code 3', 3, 'here', True)",
        "assert repr(plain) == \"KeyError('a')\" and stop.value == 5 and stop.__context__ is None",
        "assert type(caught.__cause__) is ZeroDivisionError and caught.__suppress_context__ and caught.code == 4",
        "assert type(second.__context__) is ZeroDivisionError and second.__cause__ is None",
    )


def test_what_cannot_be_loaded_is_not_counted_as_saved(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import ctypes; three = (ctypes.c_int * 3)(1, 2, 3); five = ctypes.c_int(5)",
            "class Key:\n    def __init__(self, v): self.v = v\n    def __hash__(self): return hash(self.v)\n"
            "    def __eq__(self, other): return self.v == other.v",
            "key = Key(1); keys = {key}; key.all = keys; alone = {Key(2)}",
            f"loads = {str(tmp_path / 'loads')!r}\nclass Writes:\n    def __setstate__(self, state): open(loads, 'w')\n"
            "writes = Writes(); writes.a = 1",
        )
        manifest = interpreter.save(tmp_path / "saved")
        assert not (tmp_path / "loads").exists()
        lost = {each.name: each.reason for each in contents(tmp_path / "saved", manifest)[1]}
    assert set(lost) == {"three", "key", "keys"}
    assert all("cannot be loaded again: AttributeError: " in reason for reason in lost.values())
    report = start().restore(tmp_path / "restored", tmp_path / "saved")
    assert (reasons(report), manifest["saved"]) == (lost, len(report["restored"]))


def test_parts_of_a_module_that_no_file_has_are_lost(start: Start, tmp_path: Path) -> None:
    after, lost = through(
        start, tmp_path,
        "import types, sys; made = types.ModuleType('made'); sys.modules['made'] = made",
        "exec('v = 1\\ndef get(): return v\\nclass K: pass', made.__dict__); get = made.get; k = [made.K()]",
        "other = types.ModuleType('other'); other.a = 5",
        "divided = types.ModuleType('divided'); exec('v = 1\\ndef get(): return v', divided.__dict__)",
    )  # fmt: skip
    reason = "a part of a module that no file has"
    divided = "is a module that no file has, with functions of its own"
    assert lost == {"made": f"is {reason}", "get": f"is {reason}", "k": f"holds {reason}", "divided": divided}
    after.run("assert other.a == 5")
