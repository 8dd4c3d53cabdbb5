"""Saving: looks at each variable alone, groups those that share objects, and writes packs and a manifest."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace import bindings, surroundings
from remote_kernel.namespace.files.objects import ObjectWriter
from remote_kernel.namespace.files.packs import SMALL_BYTES, Group, Lost, Variable, encode_pack, shared_out
from remote_kernel.namespace.files.records import MANIFEST, OBJECTS, Reporter, data_folder, write_json
from remote_kernel.namespace.grouping import Grouping
from remote_kernel.namespace.pickling import loading, refusals
from remote_kernel.namespace.pickling.standing import definitions_of
from remote_kernel.namespace.pickling.taking import Taker, Unsaved
from remote_kernel.namespace.variables import type_name, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remote_kernel.namespace.files.objects import Reference

SPOOL = "spool"
FORMAT = 1
# As many names stand in a manifest; the packs have them all.
MAX_NAMES = 50

# What takes longer to load is believed.
TRIAL_SECONDS = 10.0

# Does tasks one by one; `processes.Workers` or `processes.InPlace`.
Runner = Callable[..., Any]


class NoRoom(Exception):
    """The pod's disk takes no more; the text is a sentence."""


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
        self._lost: dict[str, str] = {}
        self._pieces: dict[tuple[str, ...], dict[str, Any]] = {}
        self._seen: set[str] = set()
        self._bytes = 0

    def run(self, runner: Runner) -> None:
        """Save, and write down how that ended, whatever happens."""
        try:
            self._run(runner)
        except BaseException as error:
            self._fail(error)
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            shutil.rmtree(self._spool, ignore_errors=True)

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
        self._drop_dependents()
        if self._runner.is_apart:
            self._try(runner, ends_at)
            self._drop_dependents()
        self._write(around)

    def _do(self, names: Sequence[str]) -> dict[str, Any]:
        """Take variables into one pickle: what a worker does."""
        try:
            taken = self._taker.take(names, [self._values[name] for name in names])
            return {**vars(taken), "pickle": self._put_by(names, taken.pickle)}
        except Unsaved as error:
            return {"lost": str(error), "member": error.member}
        except OSError as error:
            return {"no_room": _no_room(error)}

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
            reason = answer.get("lost") or self._exceeds(answer)
            if reason:
                self._lose(names, reason)
                failed.append((names, str(answer.get("member", ""))))
            else:
                self._pieces[names] = answer
            self._reporter.update(done=self._reporter.progress.done + 1, name=names[0], bytes=self._bytes)
        return failed

    def _exceeds(self, answer: dict[str, Any]) -> str:
        """Count a piece; return why it is not taken if the save would be too large."""
        buffers = dict(_flat(answer["buffers"]))
        new = sum(size for name, size in buffers.items() if name not in self._seen)
        new += answer["size"] - sum(size for _, size in _flat(answer["buffers"]))
        if self._bytes + new > self._limits.total_bytes:
            return f"would make the save larger than {self._limits.total_bytes / 1e6:,.0f} MB"
        self._seen.update(buffers)
        self._bytes += new
        return ""

    def _lose(self, names: Sequence[str], reason: str) -> None:
        for name in names:
            others = [f"{other!r}" for other in names if other != name and not other.startswith(surroundings.MARK)]
            self._lost[name] = f"shares objects with {_listed(others)}, and together: it {reason}" if others else reason

    def _take_groups(self, around: dict[str, Any]) -> None:
        """Take those together that share objects, in place of what each of them was alone."""
        alone = [name for (name,) in self._pieces if name not in around]
        self._sizes = {name: self._pieces[(name,)]["size"] for (name,) in self._pieces}
        grouping = Grouping(alone)
        for name in alone:
            grouping.add(name, self._pieces[(name,)]["reached"], self._pieces[(name,)]["spans"])
            grouping.want(name, self._pieces[(name,)]["wants"])
        groups = [tuple(sorted(group, key=_order)) for group in grouping.groups()]
        self._drop_large_outputs(groups)
        shared = [group for group in groups if len(group) > 1]
        self._reporter.update(total=len(self._values) + len(shared))
        for name in (name for group in shared for name in group):
            del self._pieces[(name,)]
        while shared:
            shared = self._parts_of(self._take(shared))

    def _parts_of(self, failed: Sequence[tuple[tuple[str, ...], str]]) -> list[tuple[str, ...]]:
        """Return of groups that could not be taken what is left without the one that is to blame, else the largest."""
        parts = []
        for names, member in failed:
            blamed = member or max(names, key=self._sizes.__getitem__)
            rest = tuple(name for name in names if name != blamed)
            for name in rest:
                del self._lost[name]
            parts += [rest] if rest else []
        self._reporter.update(total=self._reporter.progress.total + len(parts))
        return parts

    def _try(self, runner: Runner, ends_at: float) -> None:
        """Load what may fail to, in a process that ends with it, and lose what does."""
        tasks = [names for names, piece in self._pieces.items() if piece["can_be_tried"]]
        seconds = min(TRIAL_SECONDS, self._limits.group_seconds)
        for names, answer in zip(tasks, runner(self._load, seconds, ends_at).run(tasks)):
            if "unloadable" in answer:
                del self._pieces[names]
                self._lose(names, answer["unloadable"])

    def _load(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Load what was taken: what a worker does, with the definitions that are there."""
        try:
            loading.load(_whole(self._group(names)), self._objects, self._shell, self._values.__getitem__)
        except loading.Unrestored as error:
            return {"unloadable": str(error).replace("could not be loaded", "cannot be loaded again", 1)}
        return {}

    def _drop_dependents(self) -> None:
        """Lose what wants a function or a class that is lost, and what wants that."""
        while self._drop_wanting():
            pass

    def _drop_wanting(self) -> bool:
        wanting = {
            names: [name for name in piece["wants"] if name in self._lost] for names, piece in self._pieces.items()
        }
        for names, missing in wanting.items():
            if missing:
                del self._pieces[names]
                for name in names:
                    self._lost[name] = f"needs {missing[0]!r}, which cannot be saved: it {self._lost[missing[0]]}"
        return any(wanting.values())

    def _drop_large_outputs(self, groups: list[tuple[str, ...]]) -> None:
        """Keep the newest results that no variable has part in, while they are small."""
        left = self._limits.history_bytes
        only = [group for group in groups if all(name.startswith(surroundings.OUT) for name in group)]
        for group in sorted(only, key=_newest, reverse=True):
            left -= sum(self._sizes[name] for name in group)
            if left < 0:
                groups.remove(group)
                for name in group:
                    del self._pieces[(name,)]

    def _write(self, around: dict[str, Any]) -> None:
        groups = {names[0]: self._group(names) for names in self._pieces}
        surrounding = [groups.pop(name) for name in around if name in groups]
        sizes = [(name, len(group.pickle) if isinstance(group.pickle, bytes) else SMALL_BYTES + 1)
                 for name, group in groups.items()]  # fmt: skip
        packs = [self._write_pack([groups[name] for name in names], []) for names in shared_out(sizes)]
        packs.append(self._write_pack(surrounding, [self._lost_one(name) for name in sorted(self._lost)]))
        self._write_manifest(packs, list(groups.values()) + surrounding)

    def _group(self, names: Sequence[str]) -> Group:
        piece = self._pieces[tuple(names)]
        variables = [
            Variable(name, type_name(self._values[name]), self._sizes[name], self._cells.get(name)) for name in names
        ]
        fields = "serialiser", "pickle", "buffers", "requires", "distributions", "wants"
        return Group(variables, **{field: piece[field] for field in fields})

    def _lost_one(self, name: str) -> Lost:
        return Lost(name, type_name(self._values[name]), self._cells.get(name), self._lost[name])

    def _write_pack(self, groups: list[Group], lost: list[Lost]) -> list[Reference]:
        try:
            return self._writer.write(encode_pack([_whole(group) for group in groups], lost))
        except OSError as error:
            raise NoRoom(_no_room(error)) from None

    def _write_manifest(self, packs: list[list[Reference]], groups: list[Group]) -> None:
        objects = {name: size for group in groups for name, size in _flat(group.buffers)}
        objects.update(_flat(packs))
        lost = [name for name in self._lost if name in self._variables]
        manifest = {
            "format": FORMAT,
            "python": platform.python_version(),
            "implementation": platform.python_implementation().lower(),
            "libraries": _libraries(groups),
            "execution_count": self._shell.execution_count,
            "packs": [{"objects": pack} for pack in packs],
            "objects": sorted(objects.items()),
            "saved": len(self._variables) - len(lost),
            "lost": [name[:200] for name in lost[:MAX_NAMES]],
            "lost_count": len(lost),
            "bytes": sum(objects.values()),
        }
        self._remove_objects_but(objects)
        write_json(os.path.join(self._folder, MANIFEST), manifest)
        self._reporter.progress.state, self._reporter.progress.name = "done", ""
        self._reporter.progress.bytes = sum(objects.values())
        self._reporter.write()

    def _remove_objects_but(self, objects: Iterable[str]) -> None:
        """Remove what was written of variables alone that are saved together now, or not at all."""
        for name in set(os.listdir(self._objects)) - set(objects):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._objects, name))

    def _fail(self, error: BaseException) -> None:
        for path in (self._objects, self._spool):
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt):
            problem = "The save was interrupted."
        elif isinstance(error, NoRoom):
            problem = str(error)
        elif isinstance(error, OSError):
            problem = _no_room(error)
        else:
            problem = f"The save has failed: {refusals.shown(error)}"
        self._reporter.progress.state, self._reporter.progress.problem = "failed", problem
        with contextlib.suppress(OSError):
            self._reporter.write()


def _order(name: str) -> tuple[bool, str]:
    """Return by what the names of a group are in order: variables first."""
    return name.startswith(surroundings.MARK), name


def _whole(group: Group) -> Group:
    """Return a group with its pickle, which may be in a file."""
    if isinstance(group.pickle, bytes):
        return group
    with open(group.pickle, "rb") as file:
        return replace(group, pickle=file.read())


def _libraries(groups: Iterable[Group]) -> dict[str, str]:
    found = {name: version for group in groups for name, version in group.requires.items() if name != "python"}
    return dict(sorted(found.items()))


def _flat(lists: Iterable[Iterable[Reference]]) -> list[Reference]:
    return [(name, size) for references in lists for name, size in references]


def _newest(group: Sequence[str]) -> int:
    return max(int(name[len(surroundings.OUT) :]) for name in group)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _no_room(error: OSError) -> str:
    return f"The save cannot be written to the pod's disk: {error.strerror or error}."
