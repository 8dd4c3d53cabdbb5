"""Comparison of a notebook's new outputs with its stored ones."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from nbformat import NotebookNode

from remote_kernel.cli.run.notebook_files import with_merged_streams
from remote_kernel.cli.verify.ignored_differences import is_progress, own_patterns, settle, settle_svg
from remote_kernel.cli.verify.picture import describe_picture
from remote_kernel.core.text.terminal_text import clean

# The first is ours; the second is what nbval's users have in their notebooks.
IGNORE_TAGS = frozenset({"verify-ignore", "nbval-ignore-output"})

# Lines of one diff; the rest is counted.
SHOWN_LINES = 20
SHOWN_COLUMNS = 160
# Equal lines around those that differ.
CONTEXT_LINES = 1

# Stands for an output that lacks what its type must have.
MALFORMED = "[an output that is not valid]"

Patterns = Sequence[re.Pattern[str]]

_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One cell with other outputs than those stored.

    Attributes:
        cell: number of the code cell among those that were executed, from 1.
        source: its code.
        lines: a diff without headings: " " before what is equal, "-" before what is stored, "+" before what came.
    """

    cell: int
    source: str
    lines: tuple[str, ...]


class _Line(NamedTuple):
    """A line as it is shown, and as it is compared."""

    shown: str
    compared: str


def compare(stored: NotebookNode, executed: NotebookNode, cells: Sequence[int]) -> list[Difference]:
    """Compare the outputs of two copies of a notebook in the code cells at these indexes.

    What may differ (see `volatile`, and what the notebook names itself) and cells tagged as one of `IGNORE_TAGS` are
    passed over; so are an error's traceback, the metadata of outputs, and how standard output and standard error
    alternate.
    """
    before, after = with_merged_streams(stored).cells, with_merged_streams(executed).cells
    differences = []
    for number, index in enumerate(cells, start=1):
        metadata = before[index].metadata
        if IGNORE_TAGS.isdisjoint(metadata.get("tags", [])):
            own = own_patterns(stored.metadata, metadata)
            lines = _diff(_describe(before[index].outputs, own), _describe(after[index].outputs, own))
            if lines:
                differences.append(Difference(cell=number, source=before[index].source, lines=lines))
    return differences


def has_outputs(notebook: NotebookNode) -> bool:
    return any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def _is_well_formed(output: object) -> bool:
    """Return whether an output has what its type must have."""
    if not isinstance(output, dict):
        return False
    match output.get("output_type"):
        case "stream":
            return isinstance(output.get("name"), str) and isinstance(output.get("text"), str)
        case "error":
            return isinstance(output.get("ename"), str) and isinstance(output.get("evalue"), str)
        case "display_data" | "execute_result":
            return isinstance(output.get("data"), dict)
        case _:
            return False


def _diff(stored: list[_Line], came: list[_Line]) -> tuple[str, ...]:
    matcher = SequenceMatcher(None, [line.compared for line in stored], [line.compared for line in came], False)
    lines: list[str] = []
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                lines += [f" {_shorten(line.shown)}" for line in came[j1:j2]]
            else:
                lines += [f"-{_shorten(line.shown)}" for line in stored[i1:i2]]
                lines += [f"+{_shorten(line.shown)}" for line in came[j1:j2]]
    if len(lines) > SHOWN_LINES:
        lines[SHOWN_LINES:] = [f" … {len(lines) - SHOWN_LINES} more lines"]
    return tuple(lines)


def _shorten(line: str) -> str:
    line = clean(line)
    return line if len(line) <= SHOWN_COLUMNS else line[: SHOWN_COLUMNS - 1] + "…"


def _describe(outputs: Sequence[Mapping[str, Any]], own: Patterns) -> list[_Line]:
    """Return the lines to compare. Standard error comes last: its place among the rest is a matter of chance."""
    whole = [output for output in outputs if _is_well_formed(output)]
    ordered = sorted(whole, key=lambda output: output.get("name") == "stderr")
    lines = [line for output in _joined(ordered) for line in _describe_output(output, own)]
    # Whatever a cell gives, it differs from what no front end can show.
    return lines + [_Line(MALFORMED, MALFORMED)] * (sum(1 for _ in outputs) - len(whole))


def _joined(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Join neighbours of one stream once more, now that what was between them is at the end."""
    for name, group in groupby(outputs, key=lambda output: output.get("name")):
        if name is None:
            yield from group
        else:
            text = "".join(output["text"] for output in group)
            yield {"output_type": "stream", "name": name, "text": text}


def _describe_output(output: Mapping[str, Any], own: Patterns) -> Iterator[_Line]:
    settled = partial(settle, own=own)
    match output["output_type"]:
        case "stream":
            heading = "[standard error] " if output["name"] == "stderr" else ""
            yield from _text_lines(output["text"], settled, heading)
        case "error":
            yield from _text_lines(f"{output['ename']}: {output['evalue']}", settled, "[error] ")
        case _:
            # Text first: it is what a reader of the diff understands at once.
            for mime in sorted(output["data"], key=lambda mime: (mime != "text/plain", mime)):
                yield from _describe_data(mime, output["data"][mime], own)


def _describe_data(mime: str, value: Any, own: Patterns) -> Iterator[_Line]:
    settled = partial(settle, own=own)
    if mime == _WIDGET:
        yield _Line("[widget]", "[widget]")
    elif mime == "image/svg+xml":
        yield from _text_lines(_join(value), partial(settle_svg, own=own), f"[{mime}] ")
    elif mime.startswith(("image/", "audio/", "video/", "application/pdf")) and isinstance(value, str | list):
        picture = describe_picture(mime, _join(value))
        yield _Line(picture, picture)
    elif isinstance(value, str | list) and not mime.endswith("json"):
        yield from _text_lines(_join(value), settled, "" if mime == "text/plain" else f"[{mime}] ")
    else:
        yield from _text_lines(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False), settled, f"[{mime}] ")


def _join(value: str | list[Any]) -> str:
    """Return a text, which may be stored as its lines; of what is no text the JSON."""
    if isinstance(value, str):
        return value
    return "".join(value) if all(isinstance(line, str) for line in value) else json.dumps(value)


def _text_lines(text: str, settled: Callable[[str], str], heading: str) -> Iterator[_Line]:
    for line in text.rstrip().split("\n") if text.strip() else ():
        if not is_progress(line):
            yield _Line(heading + line, heading + settled(line))
