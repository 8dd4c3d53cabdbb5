"""Jupyter's folders of this user."""

from pathlib import Path
from typing import NamedTuple

from remote_kernel.core.errors import HOMELESS, SettingsError, is_homeless


class Folders(NamedTuple):
    """Jupyter's folders for data (the identity key) and for what belongs to running programs."""

    data: Path
    runtime: Path

    @property
    def wheels(self) -> Path:
        """The folder where downloaded packages are kept; it need not exist."""
        return self.data / "remote-kernel" / "wheels"

    @classmethod
    def of_user(cls) -> "Folders":
        """Ask jupyter_core, which knows `JUPYTER_DATA_DIR`, `JUPYTER_RUNTIME_DIR` and the platform's habits.

        Raises:
            SettingsError: the account has no home folder.
        """
        from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir  # after the sockets: it takes 20 ms

        try:
            return cls(data=Path(jupyter_data_dir()), runtime=Path(jupyter_runtime_dir()))
        except RuntimeError as error:
            if not is_homeless(error):
                raise
            raise SettingsError(HOMELESS) from None
