"""Differences between two runs of a cell that do not count: times, addresses, process ids.

A comparison reads each line through `settle`, which puts a name in the place of such text; what is left must be equal.
A number that a cell computes is compared, whatever its unit: only what is named here may differ, and what users name.
The help of `run` lists it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from remote_kernel.core.errors import UsageError

# A cell tagged so, or a list under this name in the metadata of a cell or notebook, names patterns of the user's own.
PATTERN_TAG = "verify-ignore="
METADATA_FIELD = "remote_kernel"
METADATA_LIST = "verify_ignore"

# In this order: a pattern sees what those before it have left. Each looks at a character a few times at most, as a page
# with a picture in it is one line of a million: what repeats begins where a run of it begins, or has an end.
_PATTERNS = [
    (re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))"), ""),
    # How IPython names cells in tracebacks and warnings.
    (re.compile(r"(?<!\S)\S*ipykernel_\d+/\d+\.py(?::\d+)?"), "<cell>"),
    (re.compile(r"<ipython-input-\d+-[0-9a-f]+>"), "<cell>"),
    (re.compile(r"\b(In|Out)\s?\[\d+\]"), r"\1 [<count>]"),
    (
        re.compile(r"(?:/private)?/(?:tmp|var/tmp|var/folders/[^/\s]+/[^/\s]+/T)/[^/\s'\"<>:,()\[\]]+"),
        "<temporary folder>",
    ),
    # Of an object without a text of its own; a number in this notation may be a result.
    (re.compile(r"(?<=\bat )0x[0-9a-fA-F]{6,16}\b"), "<address>"),
    (re.compile(r"(?<![^\s'\"<>(),])[^\s'\"<>(),]*/(?:site|dist)-packages/"), "<packages>/"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\bIPY_MODEL_[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\bT_[0-9a-f]{5}(?=\b|_)"), "<id>"),  # a styled table of pandas
    (re.compile(r"\bsk-(container|estimator)-id-\d+"), "<id>"),  # a model of scikit-learn
    (re.compile(r"\bpod-[0-9a-f]{6}\b"), "<pod>"),
    (re.compile(r"\b(pid|process id)([ =:]+)\d+\b", re.IGNORECASE), r"\1\2<number>"),
    # Of Altair, folium, Plotly and others that name the parts of a page at random.
    (re.compile(r"\b((?:[A-Za-z]+[_-]){1,20})[0-9a-f]{32}\b"), r"\1<id>"),
    (re.compile(r"\b(localhost|127\.0\.0\.1):\d+\b"), r"\1:<port>"),
    (re.compile(r"\bCPU times: .*"), "CPU times: <duration>"),
    (re.compile(r"(?<![\d,])\b[\d,]+ loops? each\b"), "<count> loops each"),
    # A time of midnight is that of a date in a table.
    (
        re.compile(
            r"\b\d{4}-\d\d-\d\d[T ](?!00:00(?::00)?(?:\.0+)?(?!:?\d))\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
            r"(?:Z|[+-]\d\d:?\d\d)?"
        ),
        "<time>",
    ),
    (
        re.compile(r"\b[A-Z][a-z]{2},? (?:[A-Z][a-z]{2} +\d+|\d+ [A-Z][a-z]{2} \d{4}) \d\d:\d\d:\d\d(?: \d{4})?"),
        "<time>",
    ),
    (re.compile(r"(?<![\d-] )\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: ?[AP]M\b)?"), "<time>"),
    (re.compile(r"\b(?:\d{1,2}:\d\d ?[AP]M\b|(?<=\bat )\d\d:\d\d\b)"), "<time>"),
    (re.compile(r"\bdatetime\.datetime\(\d+(?:, \d+){4,6}\b[^)]{0,200}\)"), "<time>"),
    # A date that says when something was printed; any other may be a result.
    (
        re.compile(
            r"\b((?:today|now|generated|created|printed|executed|updated|as of|run on|run at|timestamp|current date)"
            r"(?: (?:is|was|on|at))?[ :=]+)"
            r"(?:\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{4}"
            r"|\d{1,2} [A-Z][a-z]{2,8} \d{4}|[A-Z][a-z]{2,8} \d{1,2}, \d{4})\b",
            re.IGNORECASE,
        ),
        r"\1<date>",
    ),
    (re.compile(r"(?<![\w.])(?<![\d.,],)\d[\d.,]*\s?(?:[kKMGT]i?)?B/s(?:ec)?\b"), "<rate>"),
    (
        re.compile(r"(?<![\w.])(?<![\d.,],)\d[\d.,]*(?:e[+-]?\d+)?\s?(?:ns|[µμu]s|ms|s|secs?|seconds?|min|mins|minutes?)\b"),
        "<duration>",
    ),
]  # fmt: skip

# matplotlib names the parts of an SVG by random numbers.
_SVG_NAME = re.compile(r"(?<=[\"#])[a-zA-Z]{0,2}[0-9a-f]{10}\b")

_PROGRESS = re.compile(
    r"\d%\|"  # tqdm
    r"|\b\d{1,20}\s?\w{1,20} \[\d{1,20}:\d\d, "  # tqdm without a total
    r"|^[^━╸╺]*[━╸╺].*(?:\d%|\d/\d)"  # rich, pip
    r"|<progress\b"
)
# A heavy line may belong to a table, too.
_TABLE = re.compile(r"[┏┓┗┛┡┩┳┻╇┃]")


def settle(line: str, own: Iterable[re.Pattern[str]] = ()) -> str:
    """Return `line` with names instead of what may differ, by the user's `own` patterns first."""
    for pattern in own:
        line = pattern.sub("<ignored>", line)
    for pattern, replacement in _PATTERNS:
        line = pattern.sub(replacement, line)
    return line.rstrip()


def settle_svg(line: str, own: Iterable[re.Pattern[str]] = ()) -> str:
    """Return a line of an SVG picture like `settle` does, without the random names of its parts."""
    return settle(_SVG_NAME.sub("<id>", line), own)


def own_patterns(*metadata: Mapping[str, Any]) -> list[re.Pattern[str]]:
    """Return the patterns that users name in the metadata of a notebook or cell.

    Raises:
        UsageError: one of them is no regular expression of Python's.
    """
    return [_compile(text) for fields in metadata for text in _texts(fields)]


def _texts(metadata: Mapping[str, Any]) -> list[str]:
    own = metadata.get(METADATA_FIELD)
    listed = own.get(METADATA_LIST, []) if isinstance(own, Mapping) else []
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise UsageError(f"{METADATA_LIST} in the metadata is no list of regular expressions")
    tags: list[str] = metadata.get("tags", [])
    return [*listed, *(tag.removeprefix(PATTERN_TAG) for tag in tags if tag.startswith(PATTERN_TAG))]


def _compile(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from None


def is_progress(line: str) -> bool:
    """Return whether a line is a progress bar, which looks as the last moment would have it."""
    return bool(_PROGRESS.search(line)) and not _TABLE.search(line)
