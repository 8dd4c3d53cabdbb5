"""Files of a call: its folder, and what the program tells there of its progress, which is read within bounds."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.wire.saves import PROGRESS_FILE, CallProgress, Order, job_folder, objects_folder
from remote_kernel.io.private_files import read_json_object
from remote_kernel.pod.files.data_folder import DataFolder, explaining

# Calls that write files.
WRITING = frozenset({"save", "restore"})


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Files of one call.

    Attributes:
        folder: where the program writes.
        is_wanted: whether it writes anything.
        objects: what was sent for a restore; `None` for nothing.
    """

    folder: Path
    is_wanted: bool
    objects: Path | None

    @classmethod
    def of(cls, data: DataFolder, job: str, order: Order) -> "JobFiles":
        """Return the files of a call; raises `InvalidPath` where code of the session has put links in their places."""
        sent = data.resolve(objects_folder(order.objects)) if order.objects else None
        return cls(data.resolve(job_folder(job)), order.call in WRITING, sent)

    def make(self) -> None:
        """Make the folders, unless they are there; raises `NotWritable`."""
        with explaining():
            for folder in (self.folder, self.objects) if self.is_wanted else ():
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)

    def read_progress(self) -> CallProgress:
        """Return what the program tells; nothing where it tells nothing that can be read."""
        try:  # code of the session may have put a pipe there
            return CallProgress.from_json(read_json_object(self.folder / PROGRESS_FILE, ANSWER))
        except (OSError, RemoteKernelError):
            return CallProgress()

    def remove(self) -> None:
        """Remove what the program has written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_objects(self) -> None:
        if self.objects is not None:
            shutil.rmtree(self.objects, ignore_errors=True)


def is_at_work(pid: int) -> bool:
    """Return whether a process has not ended; one whose end nobody has taken note of has."""
    try:
        os.kill(pid, 0)
        # The name of the program may have any character in it; the state is the first word behind its bracket.
        status = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:  # no Linux
        return True
    except OSError:
        return False
    return status[:1] not in ([b"Z"], [b"X"])
