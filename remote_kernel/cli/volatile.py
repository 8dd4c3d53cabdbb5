"""What in an output may differ from one run of a cell to the next without the cell having done anything else.

A comparison reads each line through `settle`, which puts a name in the place of such text; what is left must be equal.
"""

import re

# In this order: a pattern sees what those before it have left.
_PATTERNS = [
    (re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))"), ""),
    # How IPython names cells in tracebacks and warnings.
    (re.compile(r"\S*ipykernel_\d+/\d+\.py(?::\d+)?"), "<cell>"),
    (re.compile(r"<ipython-input-\d+-[0-9a-f]+>"), "<cell>"),
    (re.compile(r"\b(In|Out)\s?\[\d+\]"), r"\1 [<count>]"),
    (
        re.compile(r"(?:/private)?/(?:tmp|var/tmp|var/folders/[^/\s]+/[^/\s]+/T)/[^/\s'\"<>:,()\[\]]+"),
        "<temporary folder>",
    ),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "<address>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\bIPY_MODEL_[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\bT_[0-9a-f]{5}(?=\b|_)"), "<id>"),  # a styled table of pandas
    (re.compile(r"\bsk-(container|estimator)-id-\d+"), "<id>"),  # a model of scikit-learn
    (re.compile(r"\bpod-[0-9a-f]{6}\b"), "<pod>"),
    (re.compile(r"\b(process|pid)([ =:]+)\d+\b", re.IGNORECASE), r"\1\2<number>"),
    (re.compile(r"\b(localhost|127\.0\.0\.1):\d+\b"), r"\1:<port>"),
    (re.compile(r"\bCPU times: .*"), "CPU times: <duration>"),
    (re.compile(r"\b[\d,]+ loops? each\b"), "<count> loops each"),
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
    (re.compile(r"(?<![\d-] )\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"(?<![\w.])\d[\d.,]*(?:e[+-]?\d+)?\s?[a-zA-Z]+/s(?:ec)?\b"), "<rate>"),
    (
        re.compile(r"(?<![\w.])\d[\d.,]*(?:e[+-]?\d+)?\s?(?:ns|[µμu]s|ms|s|secs?|seconds?|min|mins|minutes?)\b"),
        "<duration>",
    ),
]  # fmt: skip

# matplotlib names the parts of an SVG by random numbers.
_SVG_NAME = re.compile(r"(?<=[\"#])[a-zA-Z]{0,2}[0-9a-f]{10}\b")

_PROGRESS = re.compile(
    r"\d+%\|"  # tqdm
    r"|\b\d+\s?\w+ \[\d+:\d\d, "  # tqdm without a total
    r"|[━╸╺].*(?:\d%|\d/\d)"  # rich, pip
    r"|<progress\b"
)
# A heavy line may belong to a table, too.
_TABLE = re.compile(r"[┏┓┗┛┡┩┳┻╇┃]")


def settle(line: str) -> str:
    """Return `line` with names instead of what may differ."""
    for pattern, replacement in _PATTERNS:
        line = pattern.sub(replacement, line)
    return line.rstrip()


def settle_svg(line: str) -> str:
    """Return a line of an SVG picture like `settle` does, without the random names of its parts."""
    return settle(_SVG_NAME.sub("<id>", line))


def is_progress(line: str) -> bool:
    """Whether a line is a progress bar, which looks as the last moment would have it."""
    return bool(_PROGRESS.search(line)) and not _TABLE.search(line)
