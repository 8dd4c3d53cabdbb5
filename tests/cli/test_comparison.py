"""Two executions of a cell are told apart where the cell did something else, and only there."""

import base64
import json
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from remote_kernel.cli.run.notebook_files import parse_notebook, to_text
from remote_kernel.cli.verify.comparison import MALFORMED, compare
from remote_kernel.cli.verify.ignored_differences import is_progress, own_patterns, settle
from remote_kernel.cli.verify.picture import describe_picture
from remote_kernel.core.errors import UsageError
from remote_kernel.core.limits import Limit


def out(text: str, name: str = "stdout") -> NotebookNode:
    output: NotebookNode = new_output("stream", name=name, text=text)
    return output


def shown(**data: Any) -> NotebookNode:
    output: NotebookNode = new_output("display_data", {name.replace("_", "/", 1): text for name, text in data.items()})
    return output


def lines_between(before: list[NotebookNode], after: list[NotebookNode], *tags: str) -> list[str]:
    """Return the diff between two executions of one cell."""
    first, second = (
        new_notebook(cells=[new_code_cell("x", outputs=outputs, metadata={"tags": list(tags)})])
        for outputs in (before, after)
    )
    return [line for difference in compare(first, second, [0]) for line in difference.lines]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<object object at 0x7f3c5a1d2e40>", "<object object at 0x10a4c5b20>"),
        ("Cell In[3], line 1", "Cell In[17], line 1"),
        ("/tmp/ipykernel_2812/1849213.py:1: UserWarning: x", "/tmp/ipykernel_99/77.py:1: UserWarning: x"),
        ("wrote /tmp/tmpab12cd/data.csv", "wrote /private/tmp/tmpzz/data.csv"),
        ("/tmp/rk-pod-a1b2c3/data", "/var/folders/zz/zyx_1/T/rk-pod-99/data"),
        ("Every cell ran in pod-01fc15", "Every cell ran in pod-abcdef"),
        ("process id: 2846", "process id: 31"),
        ("pid 5", "pid 12345"),
        ("/venv/lib/python3.11/site-packages/foo.py:3: UserWarning", "/usr/lib/dist-packages/foo.py:3: UserWarning"),
        ('"altair-viz-00ff00ff00ff00ff00ff00ff00ff00ff"', '"altair-viz-11ff00ff00ff00ff00ff00ff00ff00ff"'),
        ('<div id="map_00ff00ff00ff00ff00ff00ff00ff00ff">', '<div id="map_11ff00ff00ff00ff00ff00ff00ff00ff">'),
        ("datetime.datetime(2026, 11, 29, 14, 5, 3)", "datetime.datetime(2027, 1, 2, 3, 4, 5, 678)"),
        ("Generated on 2026-11-29", "Generated on 2027-01-02"),
        ("Today is 29 November 2026", "Today is 2 January 2027"),
        ("printed at 14:05", "printed at 03:17"),
        ("2:05:11 PM", "11:59:00 AM"),
        ("pid=12", "pid=30122"),
        ("http://127.0.0.1:41231/x", "http://127.0.0.1:9/x"),
        ("it took 0.35 s", "it took 12.1 s"),
        ("done in 3 seconds", "done in 1.5 seconds"),
        ("waited 5ms", "waited 12 µs"),
        ("CPU times: user 3 ms, sys: 0 ns, total: 3 ms", "CPU times: user 2 µs, sys: 1 µs, total: 3 µs"),
        (
            "1.2 μs ± 3 ns per loop (mean ± std. dev. of 7 runs, 1,000,000 loops each)",
            "12 ms ± 1 ms per loop (mean ± std. dev. of 7 runs, 100 loops each)",
        ),
        ("at 2026-11-25 04:31:48.123456", "at 2027-01-02T14:00:01Z"),
        ("Wed Nov 25 04:31:48 2026", "Thu Dec  3 14:31:08 2026"),
        ("elapsed 0:00:01.25", "elapsed 0:01:11.5"),
        ("12.5 MB/s", "3 kB/s"),
        ("id 6f1c2b9e-4c3d-4e55-9a77-0d2f1c3b4a5e", "id 00000000-4c3d-4e55-9a77-0d2f1c3b4a5e"),
        ("#T_a1b2c_row0", "#T_00000_row0"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_what_may_differ_is_passed_over(before: str, after: str) -> None:
    assert settle(before) == settle(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("3.1415", "3.1416"),
        ("2020-01-01 00:00:00   1.5", "2020-01-02 00:00:00   1.5"),
        ("2020-01-01", "2020-01-02"),
        ("4 samples", "5 samples"),
        ("48 hours", "49 hours"),
        ("wrote /tmp/tmpab12cd/data.csv", "wrote /tmp/tmpab12cd/other.csv"),
        ("0x1f", "0x2f"),
        ("0xdeadbeef", "0xcafebabe"),
        ("mask: 0xffffffffffff0000", "mask: 0xffffffffffff1111"),
        ("process 5", "process 6"),
        ("v = 3.5 m/s", "v = 4.5 m/s"),
        ("4 requests/sec", "5 requests/sec"),
        ("12 km/s", "13 km/s"),
        ("born on 1999-12-31", "born on 2000-01-01"),
        ("ratio 14:05", "ratio 14:06"),
        ("datetime.date(2026, 11, 29)", "datetime.date(2026, 11, 30)"),
        ("model_7, 00ff00ff", "model_8, 00ff00ff"),
        ("12 s of sound, 3 voices", "12 s of sound, 4 voices"),
        ("In 1999 it rained", "In 2000 it rained"),
        ("d41d8cd98f00b204e9800998ecf8427e", "00000cd98f00b204e9800998ecf8427e"),
    ],
)
def test_what_a_cell_computed_is_compared(before: str, after: str) -> None:
    assert settle(before) != settle(after)


@pytest.mark.parametrize(
    "piece",
    ["x", "1", "1,", "1,,", "1.", "a-", "a_", "/a", "━", "━ ", "datetime.datetime(1, 2, 3, 4, 5", "\x1b[", "12 x"],
)
def test_time_to_settle_grows_with_the_length_and_no_faster(piece: str) -> None:
    line = piece * (100_000 // len(piece))
    began = time.process_time()
    settle(line)
    is_progress(line)
    assert time.process_time() - began < 5  # a fraction of a second; where it grew with the square, minutes


@pytest.mark.parametrize(
    ("line", "settled"),
    [
        ("see,/tmp/ipykernel_1/2.py:3,and", "<cell>,and"),
        ("'/a/site-packages/x' \"/b/dist-packages/y\"", "'<packages>/x' \"<packages>/y\""),
        (f"fig1-a-plot_{'0a' * 16}", "fig1-a-plot_<id>"),
        ("a,5 s and 1,000 s", "a,<duration> and <duration>"),
        ("7 runs, 1,000 loops each", "7 runs, <count> loops each"),
    ],
)
def test_what_may_differ_is_found_within_a_line(line: str, settled: str) -> None:
    assert settle(line) == settled


@pytest.mark.parametrize(
    "line",
    [
        " 50%|█████     | 20/40 [00:01<00:01, 19.5 rounds/s]",
        "12it [00:01, 9.9it/s]",
        "Working ━━━━━━━━━━━━╸━━━━━ 62% 0:00:01",
        "<progress style='width:60ex' max='10' value='5'></progress>",
    ],
)
def test_progress_bars_are_known(line: str) -> None:
    assert is_progress(line)


@pytest.mark.parametrize("line", ["north ████████ 40%", "┏━━━━┳━━━━ 5% ━━┓", "it grew by 5% [of 3]"])
def test_pictures_made_of_text_are_no_progress_bars(line: str) -> None:
    assert not is_progress(line)


def test_progress_bar_comes_and_goes_unseen() -> None:
    before = [out("\r  0%|          | 0/4\r100%|██████████| 4/4 [00:01<00:00, 4.0it/s]\n", "stderr"), out("done\n")]
    assert lines_between(before, [out("done\n")]) == []


def test_output_that_came_in_other_pieces_is_the_same() -> None:
    before = [out("one\n"), out("warning\n", "stderr"), out("two\n")]
    assert lines_between(before, [out("warning\n", "stderr"), out("one\ntwo\n")]) == []


def test_output_on_the_other_stream_is_a_difference() -> None:
    assert lines_between([out("x\n")], [out("x\n", "stderr")]) == ["-x", "+[standard error] x"]


def test_order_of_prints_and_pictures_is_compared() -> None:
    picture = shown(text_plain="a picture")
    assert lines_between([out("x\n"), picture], [picture, out("x\n")]) != []


def test_diff_shows_what_is_stored_and_what_came_with_a_line_around() -> None:
    before = [out("1\n2\n3\n4\n5\n6\n")]
    assert lines_between(before, [out("1\n2\n3\nfour\n5\n6\n")]) == [" 3", "-4", "+four", " 5"]


def test_long_diff_is_cut_and_counted() -> None:
    lines = lines_between([], [out("".join(f"{number}\n" for number in range(50)))])
    assert len(lines) == 21
    assert lines[-1] == " … 30 more lines"


def test_traceback_and_counts_of_an_error_are_passed_over_and_its_value_is_not() -> None:
    first, second, third = (
        new_output("error", ename="ValueError", evalue=value, traceback=[trace])
        for value, trace in (("bad", "here"), ("bad", "there"), ("worse", "here"))
    )
    assert lines_between([first], [second]) == []
    assert lines_between([first], [third]) == ["-[error] ValueError: bad", "+[error] ValueError: worse"]


def test_every_representation_is_compared() -> None:
    assert lines_between([shown(text_plain="t", text_html="<b>1</b>")], [shown(text_plain="t", text_html="<b>2</b>")])
    assert lines_between([shown(text_plain="t", text_html="<b>1</b>")], [shown(text_plain="t")])


def test_widgets_need_only_be_there() -> None:
    view = "application/vnd.jupyter.widget-view+json"
    first, second = (
        new_output("display_data", {view: {"model_id": name, "version_major": 2}, "text/plain": "IntSlider(value=1)"})
        for name in ("aa", "bb")
    )
    assert lines_between([first], [second]) == []
    assert lines_between([first], []) == ["-IntSlider(value=1)", "-[widget]"]


def png(pixel: int, remark: bytes = b"") -> str:
    """Return a picture of one grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), chunk(b"tEXt", b"Software\0" + remark)]
    chunks += [chunk(b"IDAT", zlib.compress(bytes([0, pixel]))), chunk(b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def test_pictures_are_compared_by_what_is_to_be_seen() -> None:
    assert lines_between([shown(image_png=png(7, b"v1"))], [shown(image_png=png(7, b"v2") + "\n")]) == []
    (before, after) = lines_between([shown(image_png=png(7))], [shown(image_png=png(8))])
    assert before.startswith("-[image/png, 1 × 1, ")
    assert after.startswith("+[image/png, 1 × 1, ")


def test_picture_of_half_a_surrogate_pair_is_one_that_differs() -> None:
    assert describe_picture("image/png", "\ud800") != describe_picture("image/png", "\ud801")


def test_picture_that_unpacks_to_more_than_may_be_is_compared_as_a_file() -> None:
    bomb = b"".join(
        struct.pack(">I", len(body)) + kind + body + bytes(4)
        for kind, body in ((b"IHDR", bytes(13)), (b"IDAT", zlib.compress(bytes(2 * 10**6))))
    )
    text = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bomb).decode()
    assert " × " in describe_picture("image/png", text)
    assert " × " not in describe_picture("image/png", text, Limit(kind="", reason="", unpacked_bytes=10**6))
    assert lines_between([shown(image_png=text)], [shown(image_png=text)]) == []


@pytest.mark.parametrize("text", ["", "AAAA", base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0").decode(), "no base64 !"])
def test_damaged_pictures_are_compared_all_the_same(text: str) -> None:
    assert lines_between([shown(image_png=text)], [shown(image_png=text)]) == []
    assert lines_between([shown(image_png=text)], [shown(image_png=png(1))]) != []


@pytest.mark.parametrize("tag", ["verify-ignore", "nbval-ignore-output"])
def test_tagged_cells_may_do_as_they_like(tag: str) -> None:
    assert lines_between([out("1")], [out("2")], tag) == []
    assert lines_between([out("1")], [out("2")], "other") != []


@pytest.mark.parametrize(
    "stored",
    [
        3,
        None,
        {"output_type": "stream"},
        {"output_type": "stream", "name": "stdout", "text": [1]},
        {"output_type": "display_data", "data": 3},
        {"output_type": ["stream"], "text": "x"},
        {},
    ],
)
def test_stored_output_that_is_none_is_a_difference_and_ends_nothing(stored: object) -> None:
    fields = json.loads(to_text(new_notebook(cells=[new_code_cell("print('x')")])))
    fields["cells"][0]["outputs"] = [stored]
    before = parse_notebook(json.dumps(fields), Path("n.ipynb"))
    after = new_notebook(cells=[new_code_cell("print('x')", outputs=[out("x\n")])])
    (difference,) = compare(before, after, [0])
    assert sorted(difference.lines) == ["+x", f"-{MALFORMED}"]


def test_data_that_is_no_text_is_compared_as_it_is() -> None:
    first, second = (new_notebook(cells=[new_code_cell("x")]) for _ in range(2))
    for number, notebook in enumerate((first, second)):
        data = {"text/plain": [number]}
        notebook.cells[0].outputs = [NotebookNode(output_type="display_data", data=data, metadata={})]
    assert compare(first, first, [0]) == []
    (difference,) = compare(first, second, [0])
    assert difference.lines == ("-[0]", "+[1]")


def test_users_name_patterns_of_their_own_in_a_tag_or_in_metadata() -> None:
    before, after = [out("run 17 of batch a\n")], [out("run 18 of batch a\n")]
    assert lines_between(before, after, r"verify-ignore=run \d+") == []
    assert lines_between(before, after, r"verify-ignore=batch \d+") != []
    first, second = (new_notebook(cells=[new_code_cell("x", outputs=outputs)]) for outputs in (before, after))
    assert compare(first, second, [0]) != []
    for metadata in (first.metadata, first.cells[0].metadata):
        metadata["remote_kernel"] = {"verify_ignore": [r"\b1\d\b"]}
        assert compare(first, second, [0]) == []
        del metadata["remote_kernel"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"tags": ["verify-ignore=("]}, r"'\(' is no regular expression"),
        ({"remote_kernel": {"verify_ignore": ["[a"]}}, "is no regular expression"),
        ({"remote_kernel": {"verify_ignore": "a"}}, "is no list of regular expressions"),
    ],
)
def test_pattern_that_is_none_is_told(metadata: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        own_patterns(metadata)
