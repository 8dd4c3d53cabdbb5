"""Saving: looks at each variable alone, groups those that share objects, tries what may not load, and writes it all."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace import bindings, surroundings
from remote_kernel.namespace.files.objects import NoRoom, ObjectWriter, no_room
from remote_kernel.namespace.files.packs import SMALL_BYTES, Group, Lost, Variable
from remote_kernel.namespace.files.records import OBJECTS, Reporter, data_folder
from remote_kernel.namespace.files.writing import SaveWriter, whole
from remote_kernel.namespace.grouping import Grouping
from remote_kernel.namespace.pickling import loading, refusals
from remote_kernel.namespace.pickling.standing import definitions_of
from remote_kernel.namespace.pickling.taking import Taker, Unsaved
from remote_kernel.namespace.pieces import Pieces
from remote_kernel.namespace.variables import type_name, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPOOL = "spool"

# What takes longer to load is believed.
TRIAL_SECONDS = 10.0

# Does tasks one by one; `processes.Workers` or `processes.InPlace`.
Runner = Callable[..., Any]


@dataclass(frozen=True)
class Limits:
    """Bounds of a save.

    Attributes:
        group_bytes: of one variable, or of those that share objects.
        total_bytes: of the whole save.
        group_seconds: for one variable.
        total_seconds: for the whole save.
        history_entries: of inputs, and of results.
        history_bytes: of inputs, and of results that are nobody else's.
    """

    group_bytes: int = 2 << 30
    total_bytes: int = 4 << 30
    group_seconds: float = 60.0
    total_seconds: float = 600.0
    history_entries: int = 1000
    history_bytes: int = 1 << 20


class Saving:
    """One save of a notebook's namespace, begun in the interpreter, and done there or in a child.

    Args:
        shell: IPython's.
        folder: of the job; is there.
        known: hashes of objects that are not to be written again.
        limits: the save's.
        standing: names of what is there in every interpreter, by `id`.
    """

    def __init__(self, shell: Any, folder: str, known: Iterable[str], limits: Limits, standing: dict[int, str]) -> None:
        self._shell, self._folder, self._limits = shell, folder, limits
        self._objects, self._spool = os.path.join(folder, OBJECTS), os.path.join(folder, SPOOL)
        for path in (self._objects, self._spool):
            os.makedirs(path, exist_ok=True)
        self._writer = ObjectWriter(self._objects, frozenset(known))
        self._standing = standing
        self._reporter = Reporter(folder)
        self._streams = surroundings.streams()
        self._pieces = Pieces(limits.total_bytes)

    def run(self, runner: Runner) -> None:
        """Save, and write down how that ended, whatever happens."""
        try:
            self._run(runner)
        except BaseException as error:
            self._fail(error)
            if isinstance(error, KeyboardInterrupt):
                raise

    def _run(self, runner: Runner) -> None:
        self._variables = variables_of(self._shell)
        outputs = surroundings.outputs_of(self._shell, self._limits.history_entries)
        around = surroundings.collected(
            self._shell, data_folder(self._folder), self._limits.history_entries, self._limits.history_bytes
        )
        around.update(self._streams)
        self._values = {**self._variables, **outputs, **around}
        self._numbers = {name: number for number, name in enumerate(self._values)}
        standing = {**self._standing, **definitions_of(self._variables)}
        self._taker = Taker(self._shell.user_ns, standing, self._writer, self._limits.group_bytes)
        self._cells = bindings.last_cells(surroundings.inputs_of(self._shell))
        self._reporter.update(total=len(self._values))
        ends_at = time.monotonic() + self._limits.total_seconds
        self._runner = runner(self._do, self._limits.group_seconds, ends_at)
        self._take([(name,) for name in self._values])
        self._reporter.update(step="saving")
        self._take_groups(around)
        self._pieces.drop_dependents()
        if self._runner.is_apart:
            self._try(runner, ends_at)
            self._pieces.drop_dependents()
        self._write(around)

    def _do(self, names: Sequence[str]) -> dict[str, Any]:
        """Take variables into one pickle: what a worker does."""
        try:
            taken = self._taker.take(names, [self._values[name] for name in names])
            return {**vars(taken), "pickle": self._put_by(names, taken.pickle)}
        except Unsaved as error:
            return {"lost": str(error), "member": error.member}
        except OSError as error:
            return {"no_room": no_room(error)}

    def _put_by(self, names: Sequence[str], pickle: bytes) -> bytes | str:
        """Return a pickle, or the file that has it, if it is not small."""
        if len(pickle) <= SMALL_BYTES:
            return pickle
        path = os.path.join(self._spool, f"{len(names)}-{self._numbers[names[0]]}")
        with open(path, "wb") as file:
            file.write(pickle)
        return path

    def _take(self, tasks: list[tuple[str, ...]]) -> list[tuple[tuple[str, ...], str]]:
        """Take them; return those that could not be, each with the name that is to blame, if that is known."""
        failed = []
        for names, answer in zip(tasks, self._runner.run(tasks)):
            if "no_room" in answer:
                raise NoRoom(answer["no_room"])
            if not self._pieces.add(names, answer):
                failed.append((names, str(answer.get("member", ""))))
            self._reporter.update(done=self._reporter.progress.done + 1, name=names[0], bytes=self._pieces.bytes)
        return failed

    def _take_groups(self, around: dict[str, Any]) -> None:
        """Take those together that share objects, in place of what each of them was alone."""
        pieces = self._pieces
        alone = [name for (name,) in pieces.taken if name not in around]
        grouping = Grouping(alone)
        for name in alone:
            piece = pieces.taken[(name,)]
            grouping.add(name, piece["reached"], piece["spans"])
            grouping.want(name, piece["wants"])
        groups = [tuple(sorted(group, key=_order)) for group in grouping.groups()]
        pieces.drop_large_outputs(groups, self._limits.history_bytes)
        shared = [group for group in groups if len(group) > 1]
        self._reporter.update(total=len(self._values) + len(shared))
        for name in (name for group in shared for name in group):
            del pieces.taken[(name,)]
        while shared:
            rests = [pieces.rest_of(names, blamed) for names, blamed in self._take(shared)]
            shared = [rest for rest in rests if rest]
            self._reporter.update(total=self._reporter.progress.total + len(shared))

    def _try(self, runner: Runner, ends_at: float) -> None:
        """Load what may fail to, in a process that ends with it, and lose what does."""
        tasks = [names for names, piece in self._pieces.taken.items() if piece["can_be_tried"]]
        seconds = min(TRIAL_SECONDS, self._limits.group_seconds)
        for names, answer in zip(tasks, runner(self._load, seconds, ends_at).run(tasks)):
            if "unloadable" in answer:
                del self._pieces.taken[names]
                self._pieces.lose(names, answer["unloadable"])

    def _load(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Load what was taken: what a worker does, with the definitions that are there."""
        try:
            loading.load(whole(self._group(names)), self._objects, self._shell, self._values.__getitem__)
        except loading.Unrestored as error:
            return {"unloadable": str(error).replace("could not be loaded", "cannot be loaded again", 1)}
        return {}

    def _write(self, around: dict[str, Any]) -> None:
        pieces, writer = self._pieces, SaveWriter(self._folder, self._writer)
        groups = {names[0]: self._group(names) for names in pieces.taken}
        surrounding = {name: groups.pop(name) for name in around if name in groups}
        writer.put(groups)
        # What each cell changes is apart from what few cells do; the last pack has it, with what is lost.
        history = [surrounding.pop(name) for name in (surroundings.HISTORY,) if name in surrounding]
        if surrounding:
            writer.put_together(list(surrounding.values()), [])
        writer.put_together(history, [self._lost_one(name) for name in sorted(pieces.lost)])
        lost = [name for name in pieces.lost if name in self._variables]
        saved = len(self._variables) - len(lost)
        progress = self._reporter.progress
        progress.bytes = writer.finish(count=self._shell.execution_count, saved=saved, lost=lost)
        shutil.rmtree(self._spool, ignore_errors=True)  # before anybody takes the save for ended
        progress.state, progress.name = "done", ""
        self._reporter.write()

    def _group(self, names: Sequence[str]) -> Group:
        piece, sizes = self._pieces.taken[tuple(names)], self._pieces.sizes
        variables = [
            Variable(name, type_name(self._values[name]), sizes[name], self._cells.get(name)) for name in names
        ]
        fields = "serialiser", "pickle", "buffers", "requires", "distributions", "wants"
        return Group(variables, **{field: piece[field] for field in fields})

    def _lost_one(self, name: str) -> Lost:
        return Lost(name, type_name(self._values[name]), self._cells.get(name), self._pieces.lost[name])

    def _fail(self, error: BaseException) -> None:
        for path in (self._objects, self._spool):
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt):
            problem = "The save was interrupted."
        elif isinstance(error, NoRoom):
            problem = str(error)
        elif isinstance(error, OSError):
            problem = no_room(error)
        else:
            problem = f"The save has failed: {refusals.shown(error)}"
        self._reporter.progress.state, self._reporter.progress.problem = "failed", problem
        with contextlib.suppress(OSError):
            self._reporter.write()


def _order(name: str) -> tuple[bool, str]:
    """Return by what the names of a group are in order: variables first."""
    return name.startswith(surroundings.MARK), name
