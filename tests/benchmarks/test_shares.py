"""What the processes spend their processor time on, as perf reports it."""

import pytest

from benchmarks.shares import KINDS, REST, Profile, main, sum_kinds, to_markdown

REPORT = """\
# To display the perf.data header info, please use --header/--header-only options.
#
# Overhead;Shared Object
 50.25% ;libpython3.11.so.1.0
 20.00% ;[kernel.kallsyms]
 10.00% ;libc.so.6
  9.00% ;libcrypto.so.3
  4.00% ;libzmq-2f02442c.so.5.2.5
  1.00% ;_zmq.cpython-311-x86_64-linux-gnu.so
  3.00% ;parser.cpython-311-x86_64-linux-gnu.so
  0.75% ;_asyncio.cpython-311-x86_64-linux-gnu.so
  2.00% ;libfrobnicate.so.1

"""


def test_libraries_are_summed_by_what_they_are_for() -> None:
    summed = sum_kinds(REPORT)
    assert sum(summed.values()) == pytest.approx(100)
    assert summed == {
        "the system": 20, "Python": 51, "copying": 10, "signatures": 9, "ZeroMQ": 5, "HTTP parser": 3, REST: 2,
    }  # fmt: skip


def test_the_table_names_a_measure_once() -> None:
    spent = dict.fromkeys(KINDS, 0.4) | {"Python": 97.6}
    table = to_markdown([Profile("cell", "pool", spent), Profile("cell", "pod agent", spent)])
    first, second = table.splitlines()[2:]
    assert first == "| cell | pool | – | 98 | – | – | – | – | – |"
    assert second == "|  | pod agent | – | 98 | – | – | – | – | – |"


def test_an_unknown_measure_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cell", "speed"])
    assert "there is no profile of speed" in capsys.readouterr().err


def test_without_perf_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([]) == 1
    assert capsys.readouterr().err == "This needs Linux's perf; install it (linux-perf in Debian).\n"
