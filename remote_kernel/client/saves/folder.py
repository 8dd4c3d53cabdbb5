"""Folder on this machine with the saves of all notebooks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from remote_kernel.client.files.local_paths import expand_user
from remote_kernel.core.errors import SaveError, SettingsError
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.retention import Retention
from remote_kernel.core.settings import DEFAULT_SAVES_FOLDER, Settings
from remote_kernel.io.private_files import make_private_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SavesFolder:
    """Folder with saves: a folder for each owner.

    Attributes:
        is_given: whether the user has named it.
        retention: how many saves of an owner are kept.
    """

    path: Path
    is_given: bool = False
    retention: Retention = Retention()  # noqa: RUF009 - it is frozen

    @classmethod
    def of(cls, settings: Settings, data_folder: Path) -> Self:
        """Return the folder that the settings name, else the one beside the identity key.

        Args:
            data_folder: Jupyter's.

        Raises:
            SettingsError: its path is relative; to what, nobody could know who looks for saves later.
        """
        retention = Retention(count=settings.saves_kept, max_bytes=settings.saves_max_bytes)
        if not settings.saves:
            return cls(path=data_folder / DEFAULT_SAVES_FOLDER, retention=retention)
        path = expand_user(settings.saves)
        if not path.is_absolute():
            raise SettingsError(f"REMOTE_KERNEL_SAVES is {settings.saves!r}: use an absolute path.")
        return cls(path=path, is_given=True, retention=retention)

    def check(self) -> None:
        """Raise `SaveError` where the folder has to be there and is not: one made in the place of a drive that is not
        connected would be found by nobody."""
        if self.is_given and not self.path.is_dir():
            raise SaveError(
                f"The folder {self.path} for saves (REMOTE_KERNEL_SAVES) is not there: make it, or connect its drive."
            )

    def make(self) -> None:
        """Create the folder where that is ours to do; raises `SaveError` as `check`, and `OSError`."""
        self.check()
        if not self.is_given:
            make_private_folder(self.path.parent)
            make_private_folder(self.path)

    def owners(self, identity_key: bytes) -> list[Owner | None]:
        """Return whose saves there are; `None` for somebody with another key.

        Raises:
            SaveError: as `check`, or it cannot be read.
        """
        return [Owner.from_folder(identity_key, name) for name in self._names()]

    @property
    def has_owners(self) -> bool:
        """Return whether anybody has saved anything; raises as `owners`."""
        return bool(self._names())

    def _names(self) -> list[str]:
        self.check()
        try:
            return sorted(path.name for path in self.path.iterdir() if path.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self.path, error) from error


def unreadable(path: Path, error: OSError) -> SaveError:
    """Return what to say of a folder with saves that cannot be listed."""
    return SaveError(f"The saves in {path} cannot be read ({error.strerror}).")
