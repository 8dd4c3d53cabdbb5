"""A folder of a pod that is looked at again and again, at no more than the system tells of where it tells all."""

import os
from pathlib import Path
from stat import S_ISDIR, S_ISLNK

from remote_kernel.io.folder_watch import FolderWatch
from remote_kernel.pod.files.data_folder import version_of
from remote_kernel.pod.files.looks import DEFAULT_LIMITS, Look, LookLimits, describe, file_at, is_passed_over, look

# So many files are looked at one by one; for more of them a look through the folder is no slower.
MAX_TOUCHED = 500


class WatchedFolder:
    """Folder of a pod.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Path, limits: LookLimits = DEFAULT_LIMITS) -> None:
        self._path = path
        self._limits = limits
        self._watch = FolderWatch.begin(str(path))
        self._last: Look | None = None

    def look(self) -> Look:
        """Return what is different from the look before; it may take as long as `looks.look`, as which it counts."""
        found = self.look_at_touched()
        return self._look_through() if found is None else found

    def look_at_touched(self, most: int = MAX_TOUCHED) -> Look | None:
        """As `look`, where it is known which files may be different; `None` where it takes a look through the folder.

        Args:
            most: how many files may be looked at.
        """
        last = self._last
        if self._watch is None or last is None or not (last.is_whole and self._watch.read()):
            return None
        paths = self._watch.notices.paths | last.linked
        found = self._look_at(last, paths) if len(paths) <= most else None
        if found is not None:
            self._watch.notices.settle()
            self._last = found
        return found

    def _look_at(self, last: Look, paths: set[str]) -> Look | None:
        found = Look(last.versions, is_compared=True, folders=last.folders, linked=last.linked)
        changed: dict[str, str] = {}
        try:
            for path in paths:
                status = self._status_of(path, last)
                version = "" if status is None else version_of(status)
                if version == last.versions.get(path, ""):
                    continue
                changed[path] = version
                if status is not None:
                    found.changed.append(describe(path, status, version))
        except _Unclear:
            return None
        if changed:
            found.changed.sort(key=lambda file: file.path)
            found.removed = sorted(path for path, version in changed.items() if not version)
            found.versions = last.versions | changed
            for path in found.removed:
                del found.versions[path]
        return found if len(found.versions) <= self._limits.entries else None

    def _status_of(self, path: str, last: Look) -> os.stat_result | None:
        """Return what the system says of a file, `None` where there is none; raises `_Unclear`."""
        if path in last.folders or path.rpartition("/")[0] not in last.folders:
            raise _Unclear  # in the second case perhaps behind a link to a folder, which no look follows
        full = f"{self._path}/{path}"
        try:
            status = os.lstat(full)
            is_link, is_folder = S_ISLNK(status.st_mode), S_ISDIR(status.st_mode)
            if not is_folder and status.st_nlink > 1 and path not in last.linked:
                raise _Unclear  # which has changed another file as well
            if is_passed_over(path.rpartition("/")[2]):
                return None
            if is_folder or (is_link and path not in last.linked):
                raise _Unclear
            return file_at(self._path, full, is_link=is_link)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            raise _Unclear from None

    def _look_through(self) -> Look:
        if self._watch is not None:
            self._watch.begin_round()
        self._last = look(self._path, self._last, self._limits, self._enter)
        if self._watch is not None:
            self._watch.end_round()
        return self._last

    def _enter(self, folder: str) -> None:
        """Have the system tell of a folder, as far as it can."""
        if self._watch is not None:
            self._watch = self._watch.enter(folder)


class _Unclear(Exception):
    """It takes a look through the whole folder."""
