"""Taking: pickles values, with their large buffers as objects of their own."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace.pickling import arrays, libraries, refusals
from remote_kernel.namespace.pickling.reducers import Reducers
from remote_kernel.namespace.pickling.refusals import Refused, TooLarge
from remote_kernel.namespace.pickling.sharing import Memo
from remote_kernel.namespace.pickling.standing import DEFINITION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remote_kernel.namespace.files.objects import ObjectWriter, Reference

PROTOCOL = 5
# What loading objects of other libraries does is not known.
_TRIED = {"python", "numpy"}
# Smaller ones stay in the pickle.
BUFFER_BYTES = 64 << 10


class Unsaved(Exception):
    """Values could not be pickled; the text is the reason, as a sentence without its subject.

    Attributes:
        is_final: no other library could do it.
        member: name of the value that holds what could not be, if that is known.
    """

    def __init__(self, reason: str, *, is_final: bool, member: str) -> None:
        super().__init__(reason)
        self.is_final, self.member = is_final, member


@dataclass(frozen=True)
class Taken:
    """Values in one pickle.

    Attributes:
        serialiser: "cloudpickle" or "dill".
        pickle: a list of the values.
        buffers: what is out of band.
        size: bytes of all that.
        reached: `id` of each object in it that others may hold as well.
        spans: views in it, each by its owner's `id` and what it reaches of it.
        requires: versions by top-level module; of "python", if there is code in it.
        distributions: names by which pip knows some of those.
        wants: variables whose functions or classes it names, which are to be there when it is loaded.
        can_be_tried: it may fail to load, and to try that harms nothing.
    """

    serialiser: str
    pickle: bytes
    buffers: Sequence[Sequence[Reference]]
    size: int
    reached: Sequence[int]
    spans: Sequence[arrays.Span]
    requires: dict[str, str]
    distributions: dict[str, str]
    wants: Sequence[str]
    can_be_tried: bool


class Taker:
    """Pickles values of one namespace.

    Args:
        namespace: the notebook's.
        standing: names of what is there in every interpreter, and of the notebook's own definitions, by `id`.
        writer: takes the buffers.
        max_bytes: of what is taken at once.
    """

    def __init__(
        self, namespace: dict[str, Any], standing: dict[int, str], writer: ObjectWriter, max_bytes: int
    ) -> None:
        self._namespace, self._standing = namespace, standing
        self._definitions = {name for name in standing.values() if name.startswith(DEFINITION)}
        self._writer, self._max_bytes = writer, max_bytes
        self._classes: dict[str, Any] = {}
        self._held: list[Any] = []

    def take(self, names: Sequence[str], values: Sequence[Any]) -> Taken:
        """Return the values of these names in one pickle. `Unsaved` if it cannot be, `OSError` if there is no room."""
        try:
            return self._take("cloudpickle", names, values)
        except Unsaved as error:
            if error.is_final:
                raise
            first = error
        try:
            return self._take("dill", names, values)
        except Unsaved as error:
            raise (error if error.is_final else first) from None

    def _take(self, serialiser: str, names: Sequence[str], values: Sequence[Any]) -> Taken:
        shared: set[int] = set()
        while True:
            pickling = self._pickle(serialiser, names, values, shared)
            more = pickling.shared_owners() - shared
            if not more:
                break
            shared |= more
        self._held.append(tuple(pickling.memo.objects.values()))  # so that no other object has the `id` of one of these
        return pickling.taken(serialiser)

    def _pickle(self, serialiser: str, names: Sequence[str], values: Sequence[Any], shared: set[int]) -> Pickling:
        if serialiser not in self._classes:
            self._classes[serialiser] = pickler_class(serialiser)
        pickling = Pickling(self._classes[serialiser], self._writer, self._max_bytes)
        own = {f"{DEFINITION}{name}" for name in names} & self._definitions
        standing = {key: name for key, name in self._standing.items() if name not in own} if own else self._standing
        pickling.pickler.set_up(standing, self._namespace, shared, self._max_bytes)
        try:
            pickling.run(list(values))
        except OSError as error:
            if error is pickling.no_room:
                raise
            raise self._unsaved(error, names, values, pickling.pickler.last) from None
        except (KeyboardInterrupt, refusals.TimeOver):
            raise
        except BaseException as error:
            raise self._unsaved(error, names, values, pickling.pickler.last) from None
        return pickling

    def _unsaved(self, error: BaseException, names: Sequence[str], values: Sequence[Any], last: Any) -> Unsaved:
        if isinstance(error, TooLarge):
            reason = f"is larger than the {self._max_bytes / 1e6:,.0f} MB that are saved of one variable"
        else:
            value, name = (values[0], names[0]) if len(values) == 1 else (dict(zip(names, values)), "")
            reason = refusals.sentence(error, name, value, last)
        is_final = isinstance(error, (Refused, TooLarge, MemoryError, RecursionError, SystemExit))
        member = refusals.member_with(error.culprit, names, values) if isinstance(error, Refused) else ""
        return Unsaved(reason, is_final=is_final, member=member)


class Pickling:
    """One pickle in the making."""

    def __init__(self, pickler_class: Any, writer: ObjectWriter, max_bytes: int) -> None:
        self._writer, self._max_bytes = writer, max_bytes
        self._file = _BoundedFile(max_bytes)
        self._buffers: list[list[Reference]] = []
        self._size = 0
        self.no_room: OSError | None = None
        self.pickler = pickler_class(self._file, protocol=PROTOCOL, buffer_callback=self._take_buffer)

    def run(self, values: list[Any]) -> None:
        self.pickler.dump(values)
        self.pickler.refuse_divided()
        self.pickler.last = None
        self.memo = Memo(self.pickler, values)

    def _take_buffer(self, buffer: Any) -> bool:
        """Return whether a buffer is to stay in the pickle."""
        content = buffer.raw()
        if len(content) < BUFFER_BYTES:
            return True
        self._size += len(content)
        if self._size > self._max_bytes:
            raise TooLarge
        try:
            self._buffers.append(self._writer.write(content))
        except OSError as error:
            self.no_room = error
            raise
        return False

    def shared_owners(self) -> set[int]:
        """Return what views and functions in the pickle see, where that can be told of what is restored."""
        by_owner: dict[int, list[tuple[int, int]]] = {}
        for owner, low, high in self.pickler.spans:
            by_owner.setdefault(owner, []).append((low, high))
        alone = self.pickler.seen_by_functions - self.memo.objects.keys()
        return {
            owner
            for owner, spans in by_owner.items()
            if owner not in alone and (owner in self.memo.objects or arrays.overlapping(spans))
        }

    def taken(self, serialiser: str) -> Taken:
        requires, distributions = libraries.requirements(self.memo.modules)
        if self.memo.has_code:
            requires["python"] = "{}.{}".format(*sys.version_info)
        pickle = self._file.getvalue()
        can_fail = bool(self.memo.modules or self.pickler.wants)
        is_known = not self._buffers and requires.keys() <= _TRIED
        return Taken(
            serialiser, pickle, self._buffers, self._size + len(pickle), list(self.memo.objects),
            self.pickler.spans, requires, distributions, sorted(self.pickler.wants),
            can_fail and is_known and self.memo.is_harmless,
        )  # fmt: skip


class _BoundedFile(io.BytesIO):
    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self._max_bytes:
            raise TooLarge
        return super().write(data)


def pickler_class(serialiser: str) -> Any:
    """Return a library's pickler, with our reducers before its own."""
    library = libraries.load(serialiser)
    return {"cloudpickle": _of_cloudpickle, "dill": _of_dill}[serialiser](library.Pickler)


def _of_cloudpickle(base: Any) -> Any:
    class CloudPickler(Reducers, base):  # type: ignore[misc]
        """Cloudpickle's, with our reducers."""

        def reduce_by_library(self, item: Any) -> Any:
            return base.reducer_override(self, item)

    return CloudPickler


def _of_dill(base: Any) -> Any:
    class DillPickler(Reducers, base):  # type: ignore[misc]
        """Dill's, with our reducers; it has its own way for classes, and for functions of no module."""

        def reducer_override(self, item: Any) -> Any:
            if type(item) in _PLAIN:
                return NotImplemented
            return super().reducer_override(item)

        def reduce_by_library(self, item: Any) -> Any:
            if getattr(item, "__module__", None) == "__main__":
                self.by_value.add(id(item))
            return NotImplemented

    return DillPickler


# Cloudpickle's pickler, which is written in C, does not ask for these.
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)
