"""Limits of a workspace: a folder that is larger was hardly meant, and nothing of it is sent."""

from typing import NamedTuple

from remote_kernel.core.errors import TransferError
from remote_kernel.core.text.human_numbers import format_bytes

# Of a project. A home folder has more, and so does a folder of data sets, which is better sent by hand.
MAX_FILES = 10_000
MAX_BYTES = 1_000_000_000
MAX_FILE_BYTES = 250_000_000

# Files that do not travel are looked at as well; so many of them for each that may.
_LOOKS_PER_FILE = 10


class WorkspaceLimits(NamedTuple):
    """Limits of a workspace.

    Attributes:
        max_bytes: of all files together.
        max_file_bytes: of one file.
    """

    max_files: int = MAX_FILES
    max_bytes: int = MAX_BYTES
    max_file_bytes: int = MAX_FILE_BYTES

    @property
    def max_entries(self) -> int:
        """Number of files and folders that are looked at, whether they travel or not."""
        return _LOOKS_PER_FILE * self.max_files

    def too_many(self, folder: str) -> TransferError:
        """Return what to say of a folder with too many files."""
        return _error(folder, f"it has more than {self.max_files:,} files", "MAX_FILES")

    def too_many_entries(self, folder: str) -> TransferError:
        """Return what to say of a folder that is too large to be looked through."""
        return _error(folder, f"it has more than {self.max_entries:,} files and folders to look through", "MAX_FILES")

    def check(self, folder: str, total: int, largest: int, path: str) -> None:
        """Raise `TransferError` where files have too many bytes.

        Args:
            total: bytes of all.
            largest: bytes of the largest, which is at `path`.
        """
        if largest > self.max_file_bytes:
            what = (
                f"'{_shown(path)}' has {format_bytes(largest)}, and a file may have {format_bytes(self.max_file_bytes)}"
            )
            raise _error(folder, what, "MAX_FILE_MB")
        if total > self.max_bytes:
            what = f"its files have {format_bytes(total)}, and {format_bytes(self.max_bytes)} may travel"
            raise _error(folder, what, "MAX_MB")


def _error(folder: str, what: str, setting: str) -> TransferError:
    return TransferError(
        f"Nothing of '{_shown(folder)}' was sent to the session, as {what}: name what is not needed there in a file "
        f"'.remoteignore' (written as '.gitignore' is), choose a smaller folder, or raise {_SETTINGS}{setting}."
    )


_SETTINGS = "REMOTE_KERNEL_WORKSPACE_"


def _shown(path: str) -> str:
    from remote_kernel.core.download_paths import shown  # late: the settings of every kernel have limits

    return shown(path)
