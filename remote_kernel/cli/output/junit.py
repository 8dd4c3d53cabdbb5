"""The results of a run as JUnit's XML, which CI systems show: a notebook is a suite, a cell is a case.

Source: https://github.com/testmoapp/junitxml, which collects what CI systems read of it.
"""

import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from remote_kernel.cli.output.report import verdict
from remote_kernel.cli.run.batch import Result
from remote_kernel.cli.run.execution import Cause, Failure
from remote_kernel.core.text.terminal_text import clean, escape

# Of what is no control character, XML 1.0 has no way to write these.
_FORBIDDEN = re.compile("[\ud800-\udfff\ufffe\uffff]")


def to_junit(results: Sequence[Result]) -> str:
    """Return the text of a JUnit file."""
    root = Element("testsuites", name="remote-kernel run")
    for result in results:
        _add_suite(root, result)
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        element.set("tests", str(len(cases)))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            element.set(name, str(sum(case.find(kind) is not None for case in cases)))
        element.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_suite(root: Element, result: Result) -> None:
    outcome = result.outcome
    suite = SubElement(root, "testsuite", name=_clean(str(result.job.path)))
    if outcome.workspace is not None:
        properties = SubElement(suite, "properties")
        for name, number in outcome.workspace.to_json().items():
            SubElement(properties, "property", name=f"workspace.{name}", value=str(number))
    differences = {difference.cell: difference for difference in result.differences}
    for number, name in enumerate(_names(result), start=1):
        seconds = outcome.cell_seconds[number - 1] if number <= len(outcome.cell_seconds) else 0.0
        case = SubElement(
            suite, "testcase", classname=_clean(str(result.job.path)), name=_clean(name), time=f"{seconds:.3f}"
        )
        if outcome.failure is not None and number == outcome.failure.cell:
            _add(case, "failure", verdict(result), _details(outcome.failure))
        elif number > outcome.started:
            _add(case, "skipped", "the run ended before this cell", "")
        elif number in differences:
            _add(case, "failure", "other outputs than those stored", "\n".join(differences[number].lines))
    _add_whole_notebook(suite, result)


def _add_whole_notebook(suite: Element, result: Result) -> None:
    """Add a case for what is nobody's cell: a kernel that did not start, a file that could not be written."""
    failure = result.outcome.failure
    problem = result.problem or (verdict(result) if failure is not None and not failure.cell else "")
    if problem:
        case = SubElement(suite, "testcase", classname=_clean(str(result.job.path)), name="notebook", time="0.000")
        _add(case, "error", problem, _details(failure) if failure is not None else "")


def _names(result: Result) -> Iterator[str]:
    for number, index in enumerate(result.outcome.cells, start=1):
        yield f"cell {number}: {result.job.notebook.cells[index].source.strip().splitlines()[0]}"


def _details(failure: Failure) -> str:
    text = failure.log if failure.cause in {Cause.DEAD_KERNEL, Cause.INSIDE} else failure.traceback
    return clean(text)


def _add(case: Element, kind: str, message: str, text: str) -> None:
    SubElement(case, kind, message=_clean(message)).text = _clean(text) or None


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", escape(text))
