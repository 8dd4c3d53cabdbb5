"""A notebook of thirty cells, as they are in work with data: saved, and restored in another interpreter."""

import importlib.util
from pathlib import Path

import pytest

from tests.namespace.conftest import Start
from tests.namespace.interpreter import reasons

pytestmark = pytest.mark.timeout(400)  # for a machine that does much else

CELLS = [
    "import random, sqlite3, threading, time, collections, functools, numpy as np, pandas as pd",
    "from pathlib import Path\nimport matplotlib.pyplot as plt",
    "random.seed(7); np.random.seed(8); rng = np.random.default_rng(9)",
    "sales = pd.DataFrame({'day': pd.date_range('2024-01-01', periods=1000), 'shop': list('abcd') * 250,\n"
    "                      'amount': rng.normal(100, 15, 1000)})",
    "january = sales[sales.day < '2024-02']; amounts = sales['amount']; matrix = sales[['amount']].to_numpy()",
    "by_shop = sales.groupby('shop')['amount'].agg(['mean', 'std'])\nby_shop",
    "big = rng.random(25_000_000)",
    "window = big[1000:2000]; every_other = window[::2]; table = big[:1_000_000].reshape(1000, 1000)",
    "class Account:\n    bank = 'B'\n    opened = []\n    def __init__(self, owner, balance=0):\n"
    "        self.owner, self.balance, self.log = owner, balance, []\n        Account.opened.append(self)\n"
    "    def pay(self, amount):\n        self.balance += amount * rate\n        self.log.append(amount)\n"
    "        return self",
    "class Savings(Account):\n    def pay(self, amount): return super().pay(amount * 2)",
    "rate = 1.5",
    "ann, bob = Account('ann'), Savings('bob', 10); ann.pay(10); bob.pay(10)",
    "ann.friend, bob.friend = bob, ann; ann.me = ann",
    "def scaler(factor):\n    def scale(values):\n        return factor * rate * np.asarray(values)\n    return scale",
    "double = scaler(2); adders = []\nfor step in range(3):\n    def add(x, step=step): return x + step\n"
    "    adders.append(add)",
    "late = [lambda: step for _ in range(2)]",
    "steps = {'clean': lambda frame: frame.dropna(), 'total': lambda frame: frame['amount'].sum(), 'double': double}",
    "tree = {'left': [], 'right': [1, 2]}; tree['left'].append(tree); same_list = tree['right']",
    "Point = collections.namedtuple('Point', 'x y'); points = {Point(1, 2): {'seen'}, Point(3, 4): frozenset('ab')}",
    "fig, ax = plt.subplots(); ax.plot(by_shop['mean']); ax.set_title('Shops'); plt.close(fig)",
    "plt.rcParams['figure.figsize'] = [3.0, 2.0]",
    "log = open('/dev/null', 'w')",
    "squares = (n * n for n in range(10)); next(squares)",
    "watcher = threading.Thread(target=time.sleep, args=(1000,), daemon=True); watcher.start()",
    "db = sqlite3.connect(':memory:')",
    "@functools.lru_cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(30)",
    "text = 'größe 😀'; number = 10 ** 40; data = b'\\0' * 10; mask = sales['amount'] > 100; nothing = None",
    "counts = collections.Counter('abracadabra'); ordered = collections.OrderedDict(b=1, a=2); "
    "home = Path('data') / 'x'",
    "random.random(); np.random.rand(); rng.random(); expected = None",
    "sum(double([1, 2]))",
]

MODEL = (
    "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\n"
    "from sklearn.linear_model import Ridge\n"
    "model = make_pipeline(StandardScaler(), Ridge()).fit(table[:, 1:], table[:, 0])\n"
    "predicted = model.predict(table[:10, 1:])"
)
MODEL_CHECK = "assert (model.predict(table[:10, 1:])[2:] == predicted[2:]).all() and model[0].mean_.shape == (999,)"
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None
NO_SKLEARN = pytest.mark.skipif(not HAS_SKLEARN, reason="wants scikit-learn")

CHECKS = [
    "assert len(sales) == 1000 and len(january) == 31 and amounts.equals(sales['amount']) and "
    "(matrix[:, 0] == amounts).all()",
    "assert by_shop.loc['a', 'mean'] == sales[sales.shop == 'a'].amount.mean() and _6 is Out[6] and _6 is by_shop",
    "assert window.base is big and every_other.base is big and table.base is big and len(big) == 25_000_000",
    "big[1000] = -1; assert window[0] == every_other[0] == table[1, 0] == -1",
    "assert Account.opened == [ann, bob] and Account.opened[1] is bob and ann.friend is bob and ann.me is ann",
    "assert type(bob) is Savings and isinstance(bob, Account) and "
    "(ann.balance, bob.balance, bob.log) == (15, 40, [20])",
    "rate = 2; assert ann.pay(1).balance == 17 and list(double([1])) == [4] and steps['double'] is double",
    "assert [add(10) for add in adders] == [10, 11, 12] and [f() for f in late] == [2, 2]; step = 7; "
    "assert late[0]() == 7",
    "assert steps['total'](sales) == amounts.sum() and tree['left'][0] is tree and same_list is tree['right']",
    "assert points[Point(1, 2)] == {'seen'} and ax.get_title() == 'Shops' and ax.figure is fig and len(ax.lines) == 1",
    "assert plt.rcParams['figure.figsize'] == [3.0, 2.0] and fib(40) == 102334155",
    "assert (text, number, data, nothing) == ('größe 😀', 10 ** 40, bytes(10), None) and mask.equals(amounts > 100)",
    "import sys; assert np is sys.modules['numpy'] and plt is sys.modules['matplotlib.pyplot'] and "
    "len({np, pd, plt, time}) == 4",
    "assert counts['a'] == 5 and list(ordered) == ['b', 'a'] and str(home) == 'data/x'",
]
DRAWN = "[random.random(), np.random.rand(), rng.random()]"


@pytest.mark.slow
@pytest.mark.parametrize("has_model", [False, pytest.param(True, marks=NO_SKLEARN)], ids=["plain", "with a model"])
def test_thirty_cells_come_back(start: Start, tmp_path: Path, has_model: bool) -> None:
    with start() as before:
        before.run(*CELLS, *([MODEL] if has_model else []))
        manifest = before.save(tmp_path / "saved")
        drawn = before.value(DRAWN)
    assert manifest["bytes"] > 200_000_000
    after = start()
    report = after.restore(tmp_path / "restored", tmp_path / "saved")
    assert reasons(report) == {
        "log": "is an open file",
        "squares": "is a generator",
        "watcher": "is a thread",
        "db": "is a database connection",
    }
    assert {each["name"]: each["cell"] for each in report["lost"]} == {
        "log": 22,
        "squares": 23,
        "watcher": 24,
        "db": 25,
    }
    assert report["warnings"] == []
    after.run(*CHECKS)
    assert after.value(DRAWN) == drawn
    if has_model:
        after.run(MODEL_CHECK)
