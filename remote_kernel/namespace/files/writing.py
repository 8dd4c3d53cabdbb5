"""Writing of a save: its packs and, when all of them are there, its manifest."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace.files.objects import NoRoom, no_room
from remote_kernel.namespace.files.packs import SMALL_BYTES, Group, Lost, encode_pack, shared_out
from remote_kernel.namespace.files.records import MANIFEST, OBJECTS, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remote_kernel.namespace.files.objects import ObjectWriter, Reference

FORMAT = 1
# As many names stand in a manifest, and so much of each; the packs have all of them.
MAX_NAMES, MAX_CHARS = 50, 200


class SaveWriter:
    """Writes one save.

    Args:
        folder: of the job.
        writer: of its objects.
    """

    def __init__(self, folder: str, writer: ObjectWriter) -> None:
        self._folder, self._writer = folder, writer
        self._packs: list[list[Reference]] = []
        self._objects: dict[str, int] = {}
        self._libraries: dict[str, str] = {}

    def put(self, groups: dict[str, Group]) -> None:
        """Write groups by the names of their first variables, those that are small in common packs."""
        sizes = [(name, len(group.pickle) if isinstance(group.pickle, bytes) else SMALL_BYTES + 1)
                 for name, group in groups.items()]  # fmt: skip
        for names in shared_out(sizes):
            self.put_together([groups[name] for name in names], [])

    def put_together(self, groups: Sequence[Group], lost: Sequence[Lost]) -> None:
        """Write a pack with these groups and these lost ones. `NoRoom` if there is none."""
        try:
            pack = self._writer.write(encode_pack([whole(group) for group in groups], lost))
        except OSError as error:
            raise NoRoom(no_room(error)) from None
        self._packs.append(pack)
        for references in (pack, *(buffer for group in groups for buffer in group.buffers)):
            self._objects.update((name, size) for name, size in references)
        for group in groups:
            self._libraries.update((name, version) for name, version in group.requires.items() if name != "python")

    def finish(self, *, count: int, saved: int, lost: Sequence[str]) -> int:
        """Write the manifest, by which the save is there; return the bytes of all objects.

        Args:
            count: the execution count.
            saved: number of variables.
            lost: names of variables.
        """
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "python": platform.python_version(),
            "implementation": platform.python_implementation().lower(),
            "libraries": dict(sorted(self._libraries.items())),
            "execution_count": count,
            "packs": [{"objects": pack} for pack in self._packs],
            "objects": sorted(self._objects.items()),
            "saved": saved,
            "lost": [name[:MAX_CHARS] for name in lost[:MAX_NAMES]],
            "lost_count": len(lost),
            "bytes": sum(self._objects.values()),
        }
        self._remove_others()
        write_json(os.path.join(self._folder, MANIFEST), manifest)
        return sum(self._objects.values())

    def _remove_others(self) -> None:
        """Remove what was written of variables alone that are saved together now, or not at all."""
        folder = os.path.join(self._folder, OBJECTS)
        for name in set(os.listdir(folder)) - set(self._objects):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))


def whole(group: Group) -> Group:
    """Return a group with its pickle, which may be in a file."""
    if isinstance(group.pickle, bytes):
        return group
    with open(group.pickle, "rb") as file:
        return replace(group, pickle=file.read())
