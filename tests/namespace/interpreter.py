"""A notebook's interpreter in a process of its own: a real IPython, which is told what to do in lines of JSON."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from remote_kernel.namespace.files.objects import read_objects
from remote_kernel.namespace.files.packs import Group, Lost, decode_pack
from tests.error_output import error_output
from tests.forks import start_copy

_PATIENCE_SECONDS = 110.0


class Interpreter:
    """IPython, and the program in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "MPLBACKEND": "agg"}
        self._resources = ExitStack()
        errors = self._resources.enter_context(error_output.opened("interpreter"))
        program, server = "tests.namespace.interpreter", "tests.namespace.interpreter_server"
        self._copy = self._resources.enter_context(start_copy(server, [program], environ=environment, stderr=errors))
        self.pid = self._copy.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copy.process.kill()
        self._resources.close()

    def _ask(self, **question: Any) -> Any:
        self._copy.stdin.write(json.dumps(question) + "\n")
        self._copy.stdin.flush()
        return json.loads(self._copy.stdout.readline())

    def run(self, *cells: str) -> None:
        """Run cells, none of which may fail."""
        for code in cells:
            answer = self._ask(cell=code)
            assert not answer["error"], (code, answer["error"])

    def value(self, expression: str) -> Any:
        """Return the value of an expression, which is to be one that JSON has; it leaves no trace."""
        answer = self._ask(expression=expression)
        assert "error" not in answer, (expression, answer["error"])
        return answer["value"]

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call the program."""
        answer: dict[str, Any] = json.loads(self._ask(call=name, arguments=json.dumps(arguments)))
        return answer

    def save(self, folder: Path, known: tuple[str, ...] = (), *, fork: bool = True, **limits: Any) -> "dict[str, Any]":
        """Return the manifest of a save."""
        answer = self.call("save", folder=str(folder), known=known, limits=limits, fork=fork)
        assert answer.get("mode") == ("fork" if fork else "in place"), answer
        progress = wait_end(folder)
        assert progress["state"] == "done", progress
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return manifest

    def restore(self, folder: Path, saved: Path, **options: Any) -> dict[str, Any]:
        """Return the report of a restore of what was saved in a folder."""
        packs = json.loads((saved / "manifest.json").read_text())["packs"]
        return self.call("restore", folder=str(folder), objects=str(saved / "objects"), packs=packs, **options)


def wait_end(folder: Path) -> dict[str, Any]:
    """Return the last progress of a job."""
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        with contextlib.suppress(FileNotFoundError):
            progress: dict[str, Any] = json.loads((folder / "progress.json").read_text())
            if progress["state"] != "running":
                return progress
        time.sleep(0.01)
    raise TimeoutError(f"the job in {folder} does not end: {list(folder.rglob('*'))}")


def contents(saved: Path, manifest: dict[str, Any]) -> tuple[list[Group], list[Lost]]:
    """Return the groups of a save, and what was lost."""
    groups: list[Group] = []
    lost: list[Lost] = []
    for pack in manifest["packs"]:
        more, lost_there = decode_pack(read_objects(str(saved / "objects"), pack["objects"]))
        groups, lost = groups + more, lost + lost_there
    return groups, lost


def groups_of(saved: Path, manifest: dict[str, Any]) -> set[tuple[str, ...]]:
    """Return the names of the variables that were saved together."""
    groups = contents(saved, manifest)[0]
    named = (tuple(variable.name for variable in group.variables) for group in groups)
    return {names for names in named if not names[0].startswith("@")}


def reasons(report: dict[str, Any]) -> dict[str, str]:
    """Return why each variable was lost, of the report of a restore."""
    return {each["name"]: each["reason"] for each in report["lost"]}


def main() -> None:
    """Do what the lines of the standard input say."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = Config({"HistoryManager": {"hist_file": ":memory:"}})
    shell: Any = InteractiveShell.instance(config=config)
    for question in _questions():
        if "cell" in question:
            result = shell.run_cell(question["cell"], store_history=True)
            error = result.error_before_exec or result.error_in_exec
            answer: Any = {"error": repr(error) if error else ""}
        elif "expression" in question:
            answer = _value(question["expression"], shell.user_ns)
        else:
            answer = _called(question["call"], question["arguments"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _called(name: str, arguments: str) -> str:
    import remote_kernel.namespace

    try:
        return remote_kernel.namespace.call(name, arguments)
    except KeyboardInterrupt:
        return json.dumps({"interrupted": True})


def _questions() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def _value(expression: str, namespace: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": json.loads(json.dumps(eval(expression, namespace)))}
    except Exception as error:
        return {"error": repr(error)}


if __name__ == "__main__":
    main()
