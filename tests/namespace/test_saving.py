"""A save, and what comes back in another interpreter."""

import json
from pathlib import Path

import pytest

from benchmarks.state.namespaces import variables
from remote_kernel.core.saves.manifest import parse_manifest
from tests.namespace.conftest import Start
from tests.namespace.interpreter import Interpreter, contents, groups_of

pytestmark = pytest.mark.timeout(400)  # for a machine that does much else

FORK = pytest.mark.parametrize("fork", [True, False], ids=["fork", "in place"])


def through(start: Start, folder: Path, *cells: str, fork: bool = True) -> Interpreter:
    """Return an interpreter into which was restored what another one had after these cells; nothing was lost."""
    with start() as before:
        before.run(*cells)
        manifest = before.save(folder / "saved", fork=fork)
        assert (manifest["lost"], contents(folder / "saved", manifest)[1]) == ([], [])
    after = start()
    report = after.restore(folder / "restored", folder / "saved")
    assert (report["lost"], report["warnings"], report["conflicts"]) == ([], [], [])
    return after


@FORK
def test_functions_see_the_notebook_s_names_and_their_changes(start: Start, tmp_path: Path, fork: bool) -> None:
    after = through(
        start, tmp_path,
        "rate = 2",
        "def scaled(x, *, by=None) -> int:\n    '''Text.'''\n    return rate * x",
        "twice = lambda x: scaled(scaled(x))",
        "scaled.note = [1]",
        fork=fork,
    )  # fmt: skip
    after.run("assert twice(1) == 4", "rate = 3", "assert twice(1) == 9")
    after.run("assert scaled.__doc__ == 'Text.' and scaled.__kwdefaults__ == {'by': None} and scaled.note == [1]")
    after.run("def scaled(x): return -x", "assert twice(5) == 5")


def test_closures_keep_the_cells_that_they_share(start: Start, tmp_path: Path) -> None:
    after = through(
        start, tmp_path,
        "def counter():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n    def get(): return n\n"
        "    return up, get",
        "up, get = counter()\nup()",
        "def loop():\n    return [lambda x: x + i for i in range(3)]\nadders = loop()",
        "def make():\n    def fact(n): return 1 if n < 2 else n * fact(n - 1)\n    return fact\nfact = make()",
        "cell = get.__closure__[0]",
        "def empty():\n    def g(): return later\n    if 0: later = 1\n    return g\nunfilled = empty()",
    )  # fmt: skip
    after.run("up(); up()", "assert get() == 3 and cell.cell_contents == 3 and cell is up.__closure__[0]")
    after.run("assert [f(10) for f in adders] == [12, 12, 12] and fact(5) == 120")


def test_classes_of_the_notebook_keep_their_identity(start: Start, tmp_path: Path) -> None:
    after = through(
        start, tmp_path,
        "import abc, dataclasses, enum, functools, typing, collections\nfrom typing import NamedTuple",
        "class Shape(abc.ABC):\n    made = []\n    @abc.abstractmethod\n    def area(self): ...\n"
        "class Square(Shape):\n    def __init__(self, a):\n        self.a = a; self.made.append(self)\n"
        "    def area(self): return self.a ** 2\n    @property\n    def side(self): return self.a",
        "one, other = Square(1), Square(2)",
        "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: list = dataclasses.field(default_factory=list)\n"
        "point = Point(1)",
        "class Color(enum.Enum):\n    RED = 1\nred = Color.RED",
        "class Pair(NamedTuple):\n    a: int\n    b: int = 2\npair = Pair(1)\n"
        "Trio = collections.namedtuple('Trio', 'a b c')\ntrio = Trio(1, 2, 3)",
        "class Slotted:\n    __slots__ = ('a', '__weakref__')\nslotted = Slotted(); slotted.a = [slotted]",
        "@functools.lru_cache(maxsize=7)\ndef cached(x): return [x]",
        "@functools.singledispatch\ndef shown(x): return 'thing'\n@shown.register\ndef _(x: int): return 'int'",
        "UserId = typing.NewType('UserId', int); T = typing.TypeVar('T')",
        "class Box(typing.Generic[T]):\n    pass\nbox = Box[int]()",
    )  # fmt: skip
    after.run(
        "assert type(one) is type(other) is Square and Shape.made == [one, other] and Shape.made[0] is one",
        "assert other.area() == 4 and other.side == 2 and Square(3).area() == 9",
        "assert Point(2) == Point(2) and point == Point(1, []) and dataclasses.replace(point, x=3).x == 3",
        "assert dataclasses.fields(Point)[0].default is dataclasses.MISSING",
        "assert red is Color.RED is Color(1) and pair == Pair(1) and type(pair) is Pair and trio == Trio(1, 2, 3)",
        "assert slotted.a[0] is slotted and cached.cache_parameters()['maxsize'] == 7 and cached(1) is cached(1)",
        "assert shown(1) == 'int' and shown('') == 'thing'",
        "assert UserId(3) == 3 and UserId.__supertype__ is int and isinstance(box, Box)",
    )


def test_standing_objects_are_those_of_the_interpreter(start: Start, tmp_path: Path) -> None:
    after = through(
        start, tmp_path,
        "import os, random, sys, logging, threading, weakref, dataclasses, string",
        "ip = get_ipython(); here = globals(); ins = In; out = sys.stdout; env = os.environ; draw = random.random",
        "log = logging.getLogger('mine'); lock = threading.RLock(); missing = dataclasses.MISSING; get = get_ipython",
        "class Thing: pass\nthing = Thing(); ref = weakref.ref(thing); "
        "known = weakref.WeakValueDictionary(thing=thing)",
        "view = memoryview(bytearray(b'abc')); data = view.obj",
    )  # fmt: skip
    after.run(
        "assert ip is get_ipython() and here is globals() and ins is In and out is sys.stdout and env is os.environ",
        "assert draw.__self__ is random._inst and log is logging.getLogger('mine') and lock.acquire() is True",
        "assert missing is dataclasses.MISSING and get() is ip and ref() is thing and known['thing'] is thing",
        "data[0] = 120; assert bytes(view) == b'xbc'",
    )


def test_arrays_share_memory_as_before(start: Start, tmp_path: Path) -> None:
    after = through(
        start, tmp_path,
        "import numpy as np",
        "a = np.arange(100_000.0); v = a[10:20]; w = v[::-2]; m = a.reshape(100, 1000)[3:5].T",
        "days = np.arange('2024-01', '2025-01', dtype='datetime64[D]'); winter = days[:60]",
        "f = np.asfortranarray(np.arange(12).reshape(3, 4)); row = f[1]; fixed = np.arange(3); "
        "fixed.flags.writeable = False",
        "both = {'base': np.zeros(10)}; both['view'] = both['base'][3:]",
        "lone = np.arange(1_000_000)[5:8]; mixed = np.array([[], {}, None], dtype=object); part = mixed[:2]",
        "one, two = (lambda big: (big[:6], big[4:8]))(np.arange(10))",
        "scalar = np.float32(1.5); nothing = np.empty((0, 3)); zero = np.array(5); table = np.zeros(3, 'i4,f8')",
        "rng = np.random.default_rng(5); rng.random(); import random; random.seed(3); np.random.seed(4); "
        "s = np.random.RandomState(1)",
    )  # fmt: skip
    after.run(
        "assert v.base is a and w.base is a and m.base is a and a.flags.owndata and a.flags.writeable",
        "a[11] = -1; assert v[1] == -1; w[0] = 7; assert a[19] == 7; m[:] = 0; assert a[3000:5000].sum() == 0",
        "days[0] = 'NaT'; assert np.isnat(winter[0]) and winter.shape == (60,)",
        "f[1, 2] = 99; assert row[2] == 99 and f.flags.f_contiguous and not fixed.flags.writeable",
        "both['base'][3] = 1; assert both['view'][0] == 1",
        "assert lone.tolist() == [5, 6, 7] and lone.base is None and mixed[0] == [] and part[1] == {}",
        "one[5] = 50; assert two.tolist() == [4, 50, 6, 7]",
        "assert scalar == 1.5 and nothing.shape == (0, 3) and zero == 5 and table.dtype.names == ('f0', 'f1')",
        "expected = np.random.default_rng(5); expected.random(); assert rng.random() == expected.random()",
        "random2 = random.Random(3); assert random.random() == random2.random()",
        "assert np.random.rand() == np.random.RandomState(4).rand() and s.rand() == np.random.RandomState(1).rand()",
    )


def test_frames_that_copy_on_write_stay_apart(start: Start, tmp_path: Path) -> None:
    after = through(
        start, tmp_path,
        "import pandas as pd, numpy as np",
        "df = pd.DataFrame({'a': np.arange(10), 'b': list('abcdefghij'), 'c': pd.date_range('2024', periods=10)})",
        "top = df.iloc[:3]; col = df['a']; same = df; kept = {'frame': df}; cat = df['b'].astype('category')",
    )  # fmt: skip
    after.run(
        "assert same is df and kept['frame'] is df and col.tolist() == list(range(10)) and "
        "len(cat.cat.categories) == 10",
        "top.loc[0, 'a'] = 100; assert df['a'][0] == 0; df.loc[1, 'a'] = 50; assert top['a'][1] == 1 and col[1] == 1",
    )


@pytest.mark.parametrize("below", ["", "/results/day 1"])
def test_the_current_folder_is_the_one_of_the_new_pod_s_data(start: Start, tmp_path: Path, below: str) -> None:
    old, new = tmp_path / "old pod", tmp_path / "new pod"
    for pod in (old, new):
        Path(f"{pod}{below}").mkdir(parents=True)
    with start() as before:
        before.run(f"%cd -q {old}{below}", "a = 1")
        before.save(old / ".saves" / "job")
    old.rename(tmp_path / "gone")
    after = start()
    report = after.restore(new / ".saves" / "job", tmp_path / "gone" / ".saves" / "job")
    assert report["warnings"] == []
    assert after.value("__import__('os').getcwd()") == f"{new}{below}"


def test_a_current_folder_that_is_not_there_is_told(start: Start, tmp_path: Path) -> None:
    (tmp_path / "old/data").mkdir(parents=True)
    with start() as before:
        before.run(f"%cd -q {tmp_path}/old/data", "a = 1")
        before.save(tmp_path / "old/.saves/job")
    after = start()
    report = after.restore(tmp_path / "new/.saves/job", tmp_path / "old/.saves/job")
    here = after.value("__import__('os').getcwd()")
    assert report["warnings"] == [f"the current folder was 'data', which is not there: it is {here!r} now"]


def test_surroundings_are_as_before(start: Start, tmp_path: Path) -> None:
    (tmp_path / "extension.py").write_text("def load_ipython_extension(shell): shell.extension_was_loaded = True")
    (tmp_path / "beside.py").write_text("value = 5\nclass Thing: pass")
    after = through(
        start, tmp_path,
        f"import sys; sys.path.insert(1, {str(tmp_path)!r})",
        f"%cd -q {tmp_path}",
        "%load_ext extension",
        "import beside, xml.dom.minidom, matplotlib.pyplot; thing = beside.Thing()",
        "matplotlib.rcParams['lines.linewidth'] = 7",
        "[thing]",
        "6 * 7",
    )  # fmt: skip
    after.run(
        f"import os; assert os.getcwd() == {str(tmp_path)!r} and sys.path[1] == {str(tmp_path)!r}",
        "assert get_ipython().extension_was_loaded and beside.value == 5 and type(thing) is beside.Thing",
        "assert xml.dom.minidom and matplotlib.rcParams['lines.linewidth'] == 7 and matplotlib.pyplot",
        "assert Out[7] == 42 and _7 == 42 and Out[6][0] is thing and In[7] == '6 * 7'",
    )
    assert after.value("[len(In), get_ipython().execution_count]") == [12, 12]


def test_variables_are_those_of_the_user(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("_private = 1", "globals()['quit'] = 2", "5", "_", "%xmode Plain")
        saved = interpreter.save(tmp_path / "saved")
        assert saved["saved"] == 2
        assert interpreter.call("changed") == {"count": 6, "variables": 2}
        assert ("_private",) in groups_of(tmp_path / "saved", saved)


def test_names_like_those_of_history_are_the_user_s(start: Start, tmp_path: Path) -> None:
    after = through(start, tmp_path, "_2020 = [1, 2]; _i5 = 'x'; _3 = 'mine'", "6 * 7", "'three'")
    after.run("assert _2020 == [1, 2] and _i5 == 'x' and _2 == 42")
    with start() as interpreter:
        interpreter.run("5", "_1", "_2020 = 1", "_5 = 5")
        assert interpreter.save(tmp_path / "other")["saved"] == 2


@pytest.mark.parametrize("version", ["1.0\n", "dev build", "1" * 200, "é"])
def test_odd_version_of_a_library_does_not_spoil_the_save(start: Start, tmp_path: Path, version: str) -> None:
    (tmp_path / "beside.py").write_text(f"__version__ = {version!r}\nclass Thing: pass")
    with start() as interpreter:
        interpreter.run(f"import sys; sys.path.append({str(tmp_path)!r})", "import beside; thing = beside.Thing()")
        interpreter.save(tmp_path / "saved")
    manifest = parse_manifest((tmp_path / "saved" / "manifest.json").read_bytes())
    assert manifest.libraries["beside"] == ("1.0" if version == "1.0\n" else "")


def test_a_save_leaves_no_trace_in_the_interpreter(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("import sys, os, threading, gc", "x = [1]", "5")
        state = "sorted(globals()), sys.path, len(In), list(Out), os.getcwd(), gc.isenabled()"
        look = f"[{state}, get_ipython().execution_count]"
        before = interpreter.value(look)
        for number, fork in enumerate([True, False]):
            interpreter.save(tmp_path / str(number), fork=fork)
        assert interpreter.value(look) == before


def test_what_shares_nothing_is_saved_apart(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import datetime, enum, re, numpy as np, pandas as pd",
            "def f(): return 1\ndef g(): return f()\nh = lambda: g()",
            "class A: pass\nclass B(A): pass\na, b = A(), B()",
            "class Color(enum.Enum): RED = 1",
            "red = Color.RED; again = [red]; utc = datetime.timezone.utc; when = [utc, datetime.datetime.now(utc)]",
            "one = re.compile('a+'); two = [one]; x = np.arange(3); y = np.arange(4); z = x.dtype; kind = np.float64",
            "df = pd.DataFrame({'a': [1]}); other = pd.DataFrame({'b': ['x']}); text = 'word'; texts = [text]",
        )
        manifest = interpreter.save(tmp_path / "saved")
        groups = groups_of(tmp_path / "saved", manifest)
    assert [group for group in groups if len(group) > 1] == []


def test_unchanged_groups_are_not_written_again(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import numpy as np",
            "big = np.random.rand(2_000_000)",
            "others = [np.arange(50_000) + i for i in range(3)]",
        )
        interpreter.run("for i in range(2000): globals()[f'small_{i}'] = [i]")
        first = interpreter.save(tmp_path / "first")
        interpreter.run("small_77.append(1)")
        known = tuple(name for name, _ in first["objects"])
        second = interpreter.save(tmp_path / "second", known)
    new = {name: size for name, size in second["objects"] if name not in known}
    assert {path.name for path in (tmp_path / "second" / "objects").iterdir()} == new.keys()
    assert sum(new.values()) < 0.05 * first["bytes"]
    assert (first["saved"], first["bytes"] > 16_000_000) == (2004, True)
    assert len(first["objects"]) < 60


def test_what_cannot_be_saved_is_named_with_the_reason(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "import asyncio, io, socket, sqlite3, subprocess, sys, threading, mmap, concurrent.futures, numpy as np",
            f"log = open({str(tmp_path / 'log')!r}, 'w'); data = {{'log': log}}; raw = open('/dev/null', 'rb')",
            "closed = open('/dev/null'); closed.close(); text = io.StringIO('kept')",
            "lines = (line for line in 'ab')\nasync def f(): pass\nwaiting = f()",
            "thread = threading.Thread(target=print)\nheld = threading.Lock(); held.acquire()",
            "db = sqlite3.connect(':memory:'); cursor = db.cursor(); sock = socket.socket()",
            "class Model:\n    def __init__(self): self.parts = [1, {'db': db}]\nmodel = Model()",
            "executor = concurrent.futures.ThreadPoolExecutor()\nmemory = mmap.mmap(-1, 10); "
            "part = memoryview(b'abc')[1:]",
            f"np.arange(10).tofile({str(tmp_path / 'array')!r}); mapped = np.memmap({str(tmp_path / 'array')!r})",
            "def outer():\n    inner = log\n    def reader(): return inner\n    return reader\nreader = outer()",
            "class Bad:\n    def __reduce__(self): raise ValueError('no  such\\n thing')\nbad = [Bad()]",
            "deep = []\nfor i in range(100_000): deep = [deep]",
        )
        manifest = interpreter.save(tmp_path / "saved")
        told = {each.name: each.reason for each in contents(tmp_path / "saved", manifest)[1]}
        interpreter.run("waiting.close()")
    assert told == {
        "log": "is an open file",
        "data": "holds an open file at data['log']",
        "raw": "is an open file",
        "closed": "is a closed file",
        "lines": "is a generator",
        "waiting": "is a coroutine",
        "thread": "is a thread",
        "held": "is a lock that is held",
        "db": "is a database connection",
        "cursor": "is a cursor of a database connection",
        "sock": "is an open socket",
        "model": "holds a database connection at model.parts[1]['db']",
        "executor": "is a pool of threads or processes",
        "memory": "is a file in memory (mmap)",
        "part": "is a view of a part of another object's memory",
        "mapped": "is an array in a file (numpy.memmap)",
        "reader": "holds an open file at reader.<inner>",
        "bad": "cannot be pickled (at bad[0]): ValueError: no such thing",
        "deep": "is nested too deeply",
    }
    assert manifest["lost_count"] == len(told)
    assert set(manifest["lost"]) == set(told)
    lost = {each.name: each.cell for each in contents(tmp_path / "saved", manifest)[1]}
    assert (lost["data"], lost["model"]) == (2, 7)


def test_what_needs_a_class_that_is_lost_is_lost_with_it(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run(
            "class Logged:\n    log = open('/dev/null')", "logged = Logged(); more = [logged]; other = 1",
            "def make(): return Logged()", "class Part(Logged): pass",
        )  # fmt: skip
        manifest = interpreter.save(tmp_path / "saved")
    needs = "needs 'Logged', which cannot be saved: it holds an open file at Logged.log"
    assert {each.name: each.reason for each in contents(tmp_path / "saved", manifest)[1]} == {
        "Logged": "holds an open file at Logged.log", "logged": needs, "more": needs, "Part": needs,
    }  # fmt: skip
    assert groups_of(tmp_path / "saved", manifest) == {("make",), ("other",)}


def test_dill_takes_what_cloudpickle_cannot(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("class A:\n    def f(self): return 'A'\nclass B(A):\n    def f(self): return 'B'")
        interpreter.run("b = B(); above = super(B, b); both = [above, b]; bad = [above, open('/dev/null')]")
        manifest = interpreter.save(tmp_path / "saved")
        groups, lost = contents(tmp_path / "saved", manifest)
    assert {each.name: each.reason for each in lost} == {"bad": "holds an open file at bad[1]"}
    assert {group.serialiser for group in groups if group.variables[0].name in ("above", "b")} == {"dill"}
    after = start()
    assert after.restore(tmp_path / "restored", tmp_path / "saved")["warnings"] == []
    after.run("assert above.f() == 'A' and b.f() == 'B' and above.__self__ is b and both == [above, b]")


def test_manifest_says_with_what_it_was_saved(start: Start, tmp_path: Path) -> None:
    with start() as interpreter:
        interpreter.run("import numpy as np", "a = np.arange(3)", "import xml")
        manifest = interpreter.save(tmp_path / "saved")
        version, python = interpreter.value("[np.__version__, __import__('platform').python_version()]")
    assert (manifest["libraries"], manifest["python"], manifest["implementation"]) == (
        {"numpy": version},
        python,
        "cpython",
    )
    assert (manifest["format"], manifest["execution_count"]) == (1, 4)
    assert manifest["bytes"] == sum(size for _, size in manifest["objects"])
    progress = json.loads((tmp_path / "saved" / "progress.json").read_text())
    assert (progress["done"], progress["bytes"]) == (progress["total"], manifest["bytes"])
    assert not (tmp_path / "saved" / "spool").exists()


@pytest.mark.slow
def test_one_of_ten_thousand_variables_costs_one_pack_and_what_every_cell_changes(start: Start, tmp_path: Path) -> None:
    namespace = variables(10_000)
    with start() as interpreter:
        interpreter.run("import random, numpy, matplotlib", *namespace.cells)
        first = interpreter.save(tmp_path / "first")
        interpreter.run(namespace.change)
        second = interpreter.save(tmp_path / "second", tuple(name for name, _ in first["objects"]))
    assert len(list((tmp_path / "second" / "objects").iterdir())) == 2
    assert size_of(tmp_path / "second") < 0.05 * size_of(tmp_path / "first")
    assert len(first["packs"]) == len(second["packs"])


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
