"""Reports as cards, tables and text: on a restore (what is back, what is not and why), and on the saves there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from remote_kernel.core.saves.save import Save
from remote_kernel.core.text.human_numbers import count_of, format_bytes
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire.saves import Lost, Report
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, table
from remote_kernel.kernel.saves.words import amount, moment, title

# So many rows and names are read; the rest is counted.
MAX_ROWS = 50
MAX_NAMES = 40
MAX_WARNINGS = 10

TITLE = "Variables restored"
HOW_TO_RESTORE = "'%session restore' brings back {which}, and with its name behind it, another one."


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreCard:
    """Card of a restore.

    Attributes:
        source: which save, for people.
        took: how long it took, for people; "" where nobody waited.
    """

    report: Report
    source: str
    took: str = ""

    def shown(self) -> Shown:
        """Return the card in both forms."""
        return Shown(self._html(), self._text())

    @property
    def _count(self) -> str:
        lost, restored = self.report.lost_count, self.report.restored_count
        return f"{restored:,} of {count_of(restored + lost, 'variable')}" if lost else count_of(restored, "variable")

    @property
    def _names(self) -> list[str]:
        """Names of what is back, as one looks for them: they come in the order of their groups."""
        return sorted((each.name for each in self.report.restored), key=str.casefold)

    @property
    def _footer(self) -> str:
        return f"Nothing was run again. {self.took}".strip()

    def _html(self) -> str:
        report = self.report
        rows = [("From", escape(self.source))]
        if report.restored:
            rows.append(("Restored", _chips(self._names, report.restored_count)))
        if report.lost:
            rows.append(("Not restored", _lost_html(report.lost, report.lost_count)))
        rows += [("Beware", escape(one_line(warning))) for warning in report.warnings[:MAX_WARNINGS]]
        if line := rerun_line(report.lost):
            rows.append(("Make them by", style.code(line)))
        colour = style.WARNING if report.lost or report.warnings else style.GOOD
        return style.card(TITLE, self._count, colour, rows, escape(self._footer))

    def _text(self) -> str:
        report = self.report
        lines = [f"{TITLE}: {self._count}, from {self.source}."]
        if report.restored:
            lines.append(f"Restored: {', '.join(_shown_names(self._names, report.restored_count))}")
        lines += _lost_text(report.lost, report.lost_count)
        lines += [f"Beware: {one_line(warning)}" for warning in report.warnings[:MAX_WARNINGS]]
        if line := rerun_line(report.lost):
            lines.append(f"Make them by: {line}")
        return "\n".join([*lines, self._footer])


def show_saves(saves: Sequence[Save], meant: Save | None, now: float) -> Shown:
    """Return the table of a notebook's saves, at `now` (seconds since 1970).

    Args:
        meant: the one that is brought back where none is named.
    """
    rows = [
        (
            one_line(save.label),
            moment(save.saved_at, now),
            "cannot be used" if save.problem else amount(save.manifest),
            "" if save.problem else format_bytes(save.manifest.bytes),
        )
        for save in saves[:MAX_ROWS]
    ]
    problems = [save.problem for save in saves[:MAX_ROWS] if save.problem]
    which = "the newest" if meant in (None, saves[0]) else title(meant, now)
    count = f"{count_of(len(saves), 'save')} of this notebook. {HOW_TO_RESTORE.format(which=which)}"
    footer = " ".join([count, *problems[:MAX_WARNINGS]])
    return table(("save", "saved", "has", "size"), rows, footer, is_text=True)


def rerun_line(lost: Iterable[Lost]) -> str:
    """Return the IPython magic that runs the cells again that made what is lost; "" where nobody knows them."""
    cells = sorted({each.cell for each in lost if each.cell})
    return f"%rerun {' '.join(map(str, cells))}" if cells else ""


def describe_lost(report: Report) -> str:
    """Return the names of what could not be saved, each with its reason, and of very many the first."""
    first = [f"{one_line(each.name)} {_reason(each)}" for each in report.lost[:MAX_WARNINGS]]
    return "; ".join([*first, *_more(report.lost_count - MAX_WARNINGS)])


def _lost_html(lost: Sequence[Lost], count: int) -> str:
    lines = [f"{style.code(one_line(each.name))} {escape(_reason(each) + _cell(each))}" for each in lost[:MAX_ROWS]]
    return "".join(f"<div>{line}</div>" for line in [*lines, *_more(count - MAX_ROWS)])


def _lost_text(lost: Sequence[Lost], count: int) -> list[str]:
    width = max((len(one_line(each.name)) for each in lost[:MAX_ROWS]), default=0)
    lines = [f"Not restored: {one_line(each.name):<{width}}  {_reason(each)}{_cell(each)}" for each in lost[:MAX_ROWS]]
    return [*lines, *_more(count - MAX_ROWS)]


def _cell(lost: Lost) -> str:
    return f" (cell {lost.cell})" if lost.cell else ""


def _reason(lost: Lost) -> str:
    return one_line(lost.reason).rstrip(".")


def _chips(names: Sequence[str], count: int) -> str:
    return " ".join([*map(style.code, _shown(names)), *_more(count - MAX_NAMES)])


def _shown_names(names: Sequence[str], count: int) -> list[str]:
    return [*_shown(names), *_more(count - MAX_NAMES)]


def _shown(names: Sequence[str]) -> list[str]:
    return [one_line(name) for name in names[:MAX_NAMES]]


def _more(count: int) -> list[str]:
    return [f"and {count:,} more"] if count > 0 else []
