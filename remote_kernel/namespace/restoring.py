"""Restoring: loads the groups of a save one by one, and reports of each variable."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import types
import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace import surroundings
from remote_kernel.namespace.files.objects import Damaged, ObjectWriter, read_objects
from remote_kernel.namespace.files.packs import Group, Lost, decode_pack
from remote_kernel.namespace.files.records import REPORT, Reporter, data_folder, write_json
from remote_kernel.namespace.pickling import libraries, loading, refusals
from remote_kernel.namespace.pickling.loading import Unrestored
from remote_kernel.namespace.pickling.standing import standing_objects
from remote_kernel.namespace.pickling.taking import Taker, Unsaved
from remote_kernel.namespace.processes import time_limit
from remote_kernel.namespace.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# A library may warn of each object that it loads.
MAX_WARNINGS = 20

# Characters of a cell's code beside what it has made.
MAX_CODE = 100

# Of these, two that have the same pickle are the same.
_COMPARABLE = (
    int, float, complex, str, bytes, type(None), types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType,
)  # fmt: skip
_COMPARABLE_BYTES = 64 << 10


@dataclass
class Report:
    """Ends of a restore: names of variables with what is said of each.

    Attributes:
        restored: `name`, `type` and `cell` of each.
        lost: the same, and `reason`.
        warnings: sentences.
        conflicts: names that have other values now; if there are any, nothing was loaded.
    """

    restored: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.warnings and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)


class Restoring:
    """One restore into a notebook's namespace.

    Args:
        shell: IPython's.
        folder: of the job; is there.
        objects: folder with the objects.
        names: of the variables that are wanted, or None for all, and what is around them.
        seconds: for each group.
    """

    def __init__(self, shell: Any, folder: str, objects: str, names: Sequence[str] | None, seconds: float) -> None:
        self._shell, self._folder, self._objects = shell, folder, objects
        self._names, self._seconds = None if names is None else frozenset(names), seconds
        self._reporter = Reporter(folder)
        self._report = Report()
        self._outputs: dict[int, Any] = {}
        self._begun: set[str] = set()
        self._values: dict[str, Any] = {}

    def run(self, packs: Iterable[Sequence[Any]], *, force: bool) -> dict[str, Any]:
        """Restore, and return the report; with values that are others now, and without `force`, only their names."""
        self._reporter.update(step="loading")
        try:
            groups, lost = self._read(packs)
            self._report.conflicts = [] if force else sorted(self._conflicts(groups))
            if not self._report.conflicts:
                self._restore(groups, lost)
        except Damaged as error:
            return self._fail(f"The save cannot be read: {error}.")
        except KeyboardInterrupt:
            self._fail("The restore was interrupted.")
            raise
        write_json(os.path.join(self._folder, REPORT), asdict(self._report))
        self._reporter.progress.state, self._reporter.progress.name = "done", ""
        self._reporter.write()
        return asdict(self._report)

    def _fail(self, problem: str) -> dict[str, Any]:
        self._reporter.progress.state, self._reporter.progress.problem = "failed", problem
        self._reporter.write()
        return {"problem": problem}

    def _read(self, packs: Iterable[Sequence[Any]]) -> tuple[list[Group], list[Lost]]:
        groups: list[Group] = []
        lost: list[Lost] = []
        for references in packs:
            more, lost_there = decode_pack(read_objects(self._objects, references))
            groups += more
            lost += lost_there
        return groups, lost

    def _is_wanted(self, name: str) -> bool:
        if self._names is None:
            return not name.startswith(surroundings.MARK)
        return name in self._names

    def _wanted_of(self, group: Group) -> list[str]:
        return [variable.name for variable in group.variables if self._is_wanted(variable.name)]

    def _conflicts(self, groups: list[Group]) -> Iterable[str]:
        if self._shell.execution_count <= 1:
            return  # no cell has run: what is there comes from the start of every session
        here = variables_of(self._shell)
        writer = ObjectWriter(self._folder, ())
        taker = Taker(self._shell.user_ns, standing_objects(self._shell), writer, _COMPARABLE_BYTES)
        for group in groups:
            for name in self._wanted_of(group):
                if name in here and not _is_same(taker, group, name, here[name]):
                    yield name

    def _restore(self, groups: list[Group], lost: list[Lost]) -> None:
        around = {group.variables[0].name: group for group in groups if _is_around(group)}
        wanted = [
            group for group in groups if not _is_around(group) and (self._names is None or self._wanted_of(group))
        ]
        self._reporter.update(total=len(wanted))
        self._group_of = {variable.name: group for group in groups for variable in group.variables}
        for text in libraries.differences({name: v for group in wanted for name, v in group.requires.items()}):
            self._report.warn(text)
        self._apply(around, surroundings.BEFORE if self._names is None else surroundings.BEFORE[:1])
        for group in wanted:
            self._reporter.update(name=group.variables[0].name)
            self._restore_group(group)
            self._reporter.update(done=self._reporter.progress.done + 1)
        self._add_lost(lost)
        if self._names is None:
            self._apply(around, surroundings.AFTER)
            surroundings.apply_outputs(self._outputs, self._shell)
        self._show_cells(around.get(surroundings.HISTORY), {each.name for each in lost})

    def _definition(self, name: str) -> Any:
        """Return a function or a class that is a variable of another group, which is restored first."""
        here = self._shell.user_ns.get(name)
        if not self._is_wanted(name) and isinstance(here, type) and here.__module__ == "__main__":
            # A second class of this name would be another one, and the same one is not to be changed unasked.
            self._report.warn(f"the session's own {name!r} is used, which may be another one than was saved")
            return here
        if name in self._group_of:
            self._restore_group(self._group_of[name])
        if name not in self._values:
            raise Unrestored(f"needs {name!r}, which is not restored")
        return self._values[name]

    def _restore_group(self, group: Group) -> None:
        if group.variables[0].name in self._begun:
            return
        self._begun.add(group.variables[0].name)
        try:
            values = self._load(group)
        except Unrestored as error:
            self._report.lost += [
                asdict(Lost(each.name, each.type, each.cell, str(error)))
                for each in group.variables
                if self._is_wanted(each.name)
            ]
            return
        for variable, value in zip(group.variables, values):
            self._values[variable.name] = value
            if self._is_wanted(variable.name):
                self._shell.user_ns[variable.name] = value
                shown = {"name": variable.name, "type": variable.type, "cell": variable.cell}
                self._report.restored.append(shown)
            elif self._names is None:
                self._outputs[int(variable.name[len(surroundings.OUT) :])] = value

    def _load(self, group: Group) -> list[Any]:
        with self._aside():
            return loading.load(group, self._objects, self._shell, self._definition)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Take prints for nobody's output, and warnings for the report's. `Unrestored` when the time is over."""
        nothing = io.StringIO()
        with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing), _warnings() as caught:
            try:
                with time_limit(self._seconds):
                    yield
            except refusals.TimeOver:
                raise Unrestored(f"took longer than {self._seconds:g} s") from None
            finally:
                for each in caught:
                    self._report.warn(f"{each.category.__name__}: {' '.join(str(each.message).split())[:200]}")

    def _apply(self, around: dict[str, Group], names: Iterable[str]) -> None:
        for name in names:
            if name in around:
                try:
                    (value,) = self._load(around[name])
                    with self._aside():
                        for text in surroundings.apply(name, value, self._shell, data_folder(self._folder)):
                            self._report.warn(text)
                except Unrestored as error:
                    self._report.warn(f"{name[1:]} is not as it was: it {error}")

    def _show_cells(self, history: Group | None, unsaved: set[str]) -> None:
        """Take the numbers of cells that are others in this session out of the report, and show the code of those."""
        inputs: dict[int, str] = {}
        if history is not None:
            with contextlib.suppress(Unrestored):
                inputs = dict(self._load(history)[0]["inputs"])
        here = dict(surroundings.inputs_of(self._shell))
        for each in self._report.lost:
            number = each["cell"]
            if number is not None and (number not in inputs or here.get(number) != inputs[number]):
                each["cell"] = None
                code = " ".join(inputs.get(number, "").split())[:MAX_CODE]
                if each["name"] in unsaved:
                    each["reason"] += f"; cell {number} of that session made it" + (f": {code}" if code else "")

    def _add_lost(self, lost: list[Lost]) -> None:
        for each in lost:
            if self._is_wanted(each.name):
                self._report.lost.append(asdict(each))
            elif self._names is None:
                name = each.name[len(surroundings.OUT) :]
                shown = f"Out[{name}]" if each.name.startswith(surroundings.OUT) else each.name[1:]
                self._report.warn(f"{shown} was not saved: it {each.reason}")


@contextlib.contextmanager
def _warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Catch warnings, but those that are for a library's authors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        yield caught


def _is_around(group: Group) -> bool:
    names = [variable.name for variable in group.variables]
    return names[0].startswith(surroundings.MARK) and not names[0].startswith(surroundings.OUT)


def _is_same(taker: Taker, group: Group, name: str, value: Any) -> bool:
    """Return whether a name has the value already that it is to get, where that is easily told."""
    if len(group.variables) > 1 or group.buffers or not isinstance(value, _COMPARABLE):
        return False
    try:
        return taker.take([name], [value]).pickle == group.pickle
    except Unsaved:
        return False


def compare(python: str, versions: dict[str, str]) -> list[str]:
    """Return sentences on what is here in another version than it was saved with, or not at all."""
    missing = [f"{name} is not in the session" for name in versions if not libraries.is_installed(name)]
    here = platform.python_version()
    other = python and python.split(".")[:2] != here.split(".")[:2]
    told = [f"Python is {here} in the session, and was {python} when this was saved"] if other else []
    return told + missing + libraries.differences(versions)
