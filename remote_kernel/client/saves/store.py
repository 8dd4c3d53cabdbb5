"""Saves of one owner on this machine: a private folder with objects and, for each save, a file that names them.

    <folder>/<owner>/<id>.json           a save, with its message authentication code
    <folder>/<owner>/objects/<hash>      what saves consist of, each object once
    <folder>/<owner>/guard, use-<hex>    locks

A save is there whole or not at all, also behind a power cut: its file is written last, in one step, and the disk has
what it needs before. What is read again is checked again, as the folder may be on a drive of others: the file of a save
by its code, an object by its name. Nothing is unpickled here.
"""

import contextlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from remote_kernel.client.saves.disk.locks import alone, in_use, is_used
from remote_kernel.client.saves.disk.object_folder import ObjectFolder, remove_file
from remote_kernel.client.saves.folder import SavesFolder, unreadable
from remote_kernel.core.errors import NotWritten, SaveError, WireError
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.saves.manifest import Manifest, Pack
from remote_kernel.core.saves.names import is_id, parse_name
from remote_kernel.core.saves.objects import Object
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.packs import parse_contents
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.saves import MAX_SENTENCES, Report
from remote_kernel.io.private_files import close_folder, make_private_folder, read_ordinary, write_private
from remote_kernel.io.system.durability import flush, flush_folder

_SUFFIX = ".json"

# What a writer that was killed has left of a save.
_LEFT_OVER = re.compile(r"\.[0-9a-f]{8}\.json\..+")

# What stands around a save in its file is short.
_MAX_SAVE_BYTES = (MANIFEST.bytes or 0) + 1000


class SaveStore:
    """Saves of one owner. Several processes may use the same.

    Args:
        root: where the saves of all owners are.

    Attributes:
        folder: where those of this one are.
    """

    def __init__(self, root: SavesFolder, owner: Owner) -> None:
        self._root = root
        self._owner = owner
        self.folder = root.path / owner.folder
        self._objects = ObjectFolder(self.folder / "objects")

    def list(self) -> Sequence[Save]:
        """Return all saves, the newest first; those that cannot be used have a `problem`.

        Raises:
            SaveError: the folder cannot be read.
        """
        try:
            paths = [path for path in self.folder.iterdir() if path.suffix == _SUFFIX and is_id(path.stem)]
        except FileNotFoundError:
            self._root.check()
            return []
        except OSError as error:
            raise unreadable(self.folder, error) from error
        saves = [save for path in paths if (save := self._read(path)) is not None]
        return sorted(saves, key=lambda save: (-save.saved_at, save.id))

    def find(self, name: str = "") -> Save:
        """Return the save with a name or an id, the newest where there are several; "" finds the newest that is usable.

        Raises:
            SaveError: there is none, or it cannot be used.
        """
        saves = self.list()
        if not saves:
            raise SaveError("There is no save of this notebook: '%session save' makes one.")
        if not name:
            return _usable(next((save for save in saves if not save.problem), saves[0]))
        wanted = parse_name(name)
        found = [save for save in saves if save.name == wanted] or [save for save in saves if save.id == wanted]
        if not found:
            labels = ", ".join(f"'{save.label}'" for save in saves[:10])
            raise SaveError(f"There is no save '{wanted}' of this notebook: those that there are are {labels}.")
        return _usable(found[0])

    def read(self, save: Save) -> Save:
        """Return a save as it is in its file now; what it consists of is checked by `read_object`.

        Raises:
            SaveError: it cannot be used.
        """
        now = self._read(self._path(save))
        if now is None:
            raise SaveError(f"The save '{save.label}' has been removed.")
        return _usable(now)

    def known(self) -> set[str]:
        """Return the hashes of the objects that are here; they stay for as long as `keeping_objects`.

        Raises:
            SaveError: their folder cannot be read.
        """
        return set(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the objects' files, in bytes, by hash; raises `SaveError`."""
        return self._objects.sizes()

    def object_path(self, name: str) -> Path:
        return self._objects.path_of(name)

    def read_object(self, name: str) -> bytes:
        """Return the file of an object, whose content is what its name says; raises `SaveError`."""
        return self._objects.read(name)

    def damaged(self, names: Iterable[str]) -> Sequence[str]:
        """Return those objects that are not what their names say, which are set aside, and those that are not here."""
        return self._objects.damaged(names)

    def read_header(self, pack: Pack) -> bytes:
        """Return the header of a pack; raises `SaveError` and `WireError`."""
        return self._objects.header(pack)

    def read_contents(self, save: Save) -> Report:
        """Return what would be restored of a save, and what not, with a warning for each part that cannot be read."""
        told = Report(restored=[], lost=[], warnings=[], conflicts=[])
        room, more_lost = MANIFEST.bytes or 0, 0
        for pack in save.manifest.packs:
            try:
                header = self.read_header(pack)
                room -= len(header)
                if room < 0:
                    raise WireError("its headers are too long")
                part = parse_contents(header)
            except SaveError as error:
                told.warnings.append(str(error))
            except WireError as error:
                told.warnings.append(f"A part of the save '{save.label}' cannot be read: {error}.")
            else:
                told.restored.extend(part.restored)
                told.lost.extend(part.lost)
                more_lost += part.more_lost
            if room < 0 or len(told.warnings) >= MAX_SENTENCES:
                break
        return replace(told, more_lost=more_lost)

    def put_object(self, each: Object, file: bytes) -> None:
        """Keep an object, given as its file, for a save that is to be added.

        Raises:
            WireError: it is not what its name says.
            NotWritten: the disk is full, or the folder cannot be written.
        """
        with self._writing():
            self._make_folders()
            self._objects.write(each, file)

    def add(
        self, manifest: Manifest, *, name: str = "", now: float, notebook: str, pod_kernel: str,
        files: Mapping[str, str] | None = None, session: str = "", is_unasked: bool = False,
    ) -> Save:  # fmt: skip
        """Add a save whose objects are here, and remove older ones that are superseded.

        Args:
            name: given by the user; an older save of this name is replaced.
            now: in seconds since 1970.
            files: of the workspace: their SHA-256 by path; `None` for no workspace.
            session, is_unasked: see `Save`.

        Raises:
            UsageError: it cannot have this name.
            WireError: objects are missing, or it could not be read again.
            NotWritten: the disk is full, or the folder cannot be written.
        """
        name = parse_name(name) if name else ""
        known = self.known()
        if any(each.hash not in known for each in manifest.objects):
            raise WireError("a save names objects that were not sent")
        with self.keeping_objects(), self._writing():
            self._flush_objects(manifest)  # which may take long: others may be alone meanwhile
            with alone(self.folder):
                save = Save(
                    id=self._new_id(), name=name, saved_at=now, notebook=notebook, pod_kernel=pod_kernel,
                    manifest=manifest, files=files, session=session, is_unasked=is_unasked,
                )  # fmt: skip
                self._write(save)
                for superseded in self._root.retention.superseded(self.list(), save, self.sizes()):
                    remove_file(self._path(superseded))
        return save

    def _flush_objects(self, manifest: Manifest) -> None:
        """Have the disk take what no save has so far, before it has one that needs it."""
        flushed = {each.hash for save in self.list() for each in save.manifest.objects}
        self._objects.flush([each.hash for each in manifest.objects if each.hash not in flushed])

    def _write(self, save: Save) -> None:
        """Write the file of a save, which is on the disk then; raises `WireError` and `OSError`."""
        Save.from_bytes(data := save.to_bytes())
        write_private(self._path(save), self._owner.seal(data), flush=flush)
        for folder in (self.folder, self._root.path, self._root.path.parent):  # those above may be as new
            flush_folder(folder)

    def delete(self, save: Save) -> None:
        """Remove a save and what no other one needs; raises `NotWritten`."""
        self._refuse_links()
        with self._writing():
            self._path(save).unlink(missing_ok=True)
        with contextlib.suppress(
            OSError, NotWritten, SaveError
        ):  # without a file of ours, which a full disk might not take
            self._remove_unused()

    @contextlib.contextmanager
    def keeping_objects(self) -> Iterator[None]:
        """Keep all objects, whoever removes saves meanwhile; behind it those are removed that no save needs.

        Raises:
            SaveError: the folder that the user has named is not there.
            NotWritten: the folder cannot be written.
        """
        with contextlib.ExitStack() as use:
            with self._writing():
                self._make_folders()
                use.enter_context(in_use(self.folder))
            try:
                yield
            finally:
                use.close()
                with contextlib.suppress(OSError, NotWritten, SaveError):
                    self._remove_unused()

    def _remove_unused(self) -> None:
        """Remove objects that no save needs, unless somebody uses them, or not all saves say what they need."""
        self._refuse_links()
        with alone(self.folder):
            saves = self.list()
            if is_used(self.folder) or any(save.problem and self._path(save).is_file() for save in saves):
                return
            for path in self.folder.iterdir():
                if _LEFT_OVER.fullmatch(path.name):
                    remove_file(path)
            self._objects.remove_others({each.hash for save in saves for each in save.manifest.objects})

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.folder, self._objects.path

    def _path(self, save: Save) -> Path:
        return self.folder / f"{save.id}{_SUFFIX}"

    def _new_id(self) -> str:
        while (self.folder / f"{(name := secrets.token_hex(4))}{_SUFFIX}").exists():
            pass
        return name

    def _read(self, path: Path) -> Save | None:
        """Return the save in a file, with its problem where it cannot be used; `None` where there is none."""
        try:
            content, modified = read_ordinary(path, _MAX_SAVE_BYTES), path.stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            return Save(id=path.stem, saved_at=0.0, problem=f"The save {path} cannot be read ({error.strerror}).")
        try:
            data = self._owner.unseal(content)
        except WireError:
            problem = f"The save {path} is not used: it was changed, or is of another user, notebook or kernel."
            return Save(id=path.stem, saved_at=modified, problem=problem)
        try:
            save = Save.from_bytes(data)
        except WireError:
            problem = f"The save {path} is not used: another version of remote-kernel has written it."
            return Save(id=path.stem, saved_at=modified, problem=problem)
        if save.id != path.stem:
            return replace(save, id=path.stem, problem=f"The save {path} is not used: it had another name.")
        return save

    def _make_folders(self) -> None:
        self._root.make()
        for folder in self._folders:
            make_private_folder(folder)
            self._refuse_links()
            close_folder(folder)

    def _refuse_links(self) -> None:
        """Raise `NotWritten` where a link leads to another folder: what is in that is not ours."""
        for folder in self._folders:
            if folder.is_symlink():
                raise NotWritten(
                    f"Saves are not written to {folder}, nor removed, as it is a link to another folder: remove the "
                    "link, or set REMOTE_KERNEL_SAVES to another folder."
                )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Say in one sentence what the system says of the folder."""
        try:
            yield
        except OSError as error:
            raise NotWritten(
                f"Saves cannot be written to {self._root.path} ({error.strerror}): make room there or make it yours, "
                "or set REMOTE_KERNEL_SAVES to another folder. The saves that are there stay as they are."
            ) from error


def _usable(save: Save) -> Save:
    if save.problem:
        raise SaveError(save.problem)
    return save
