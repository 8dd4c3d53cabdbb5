"""Report of a live run: one page of Markdown, without anything that says whose pool it was."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.assumptions import ASSUMPTIONS, Kind
from tests.live.questions import Answer, Verdict

_UNASKED = Answer(Verdict.NOT_ASKED, "it was ended before")

HEAD = """\
# Live report

What a session pool said to `make live`. Names, addresses, identifiers and tokens are left out; read it
before you publish it.
"""


@dataclass(slots=True, kw_only=True)
class Findings:
    """All that was found out.

    Attributes:
        kind: of the pool; `None` where it was not asked.
        conditions: what the numbers depend on.
        cases: of each suite, what became of each of its tests.
        ended: why a part has ended early: a suite if not by its tests, or any other.
    """

    kind: Kind | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    timings: dict[str, str] = field(default_factory=dict)
    cases: dict[str, Mapping[str, str]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Return whether all that was asked was as assumed, and no test has failed."""
        verdicts = {answer.verdict for answer in self.answers.values()}
        outcomes = {outcome for cases in self.cases.values() for outcome in cases.values()}
        return Verdict.OTHERWISE not in verdicts and "failed" not in outcomes and not self.ended

    def to_markdown(self, redact: Callable[[str], str]) -> str:
        """Return the page; all that was found out goes through `redact`."""
        conditions = {name: redact(value) for name, value in self.conditions.items()}
        sections = [HEAD, _table(("", ""), {"kind of pool": self.kind or "not asked", **conditions})]
        if self.answers:
            sections += ["## What we assume", self._answers(redact)]
        if self.timings:
            sections += ["## Times", _table(("what", "time"), self.timings)]
        for name in dict.fromkeys((*self.cases, *self.ended)):
            sections += [f"## {name}", self._cases(name, redact)]
        return "\n".join(sections)

    def _answers(self, redact: Callable[[str], str]) -> str:
        lines = ["| name | we assume | verdict | the pool said |", "|---|---|---|---|"]
        for each in ASSUMPTIONS:
            answer = self.answers.get(each.name, _UNASKED)
            verdict = f"**{answer.verdict}**" if answer.verdict is Verdict.OTHERWISE else answer.verdict
            lines.append(f"| {each.name} | {each.text} | {verdict} | {redact(answer.said)} |")
        return "\n".join(lines) + "\n"

    def _cases(self, name: str, redact: Callable[[str], str]) -> str:
        cases = self.cases.get(name, {})
        counts = {outcome: list(cases.values()).count(outcome) for outcome in dict.fromkeys(cases.values())}
        said = [f"{', '.join(f'{count} {outcome}' for outcome, count in counts.items())}.", ""] if counts else []
        failed = [f"- failed: `{redact(case)}`" for case, outcome in cases.items() if outcome == "failed"]
        end = [f"- {redact(self.ended[name])}"] if name in self.ended else []
        return "\n".join([*said, *end, *failed]).rstrip() + "\n"


def read_junit(path: Path) -> dict[str, str]:
    """Return what became of each test, "passed", "failed" or "skipped", without what it said or what a cell holds."""
    outcomes = {}
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        where = Path(case.get("classname", "")).name.removesuffix(".ipynb").rpartition(".")[2]
        outcomes[f"{where}: {case.get('name', '').partition(': ')[0]}"] = outcome
    return outcomes


def _table(head: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines) + "\n"
