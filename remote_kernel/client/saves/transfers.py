"""Parts of a save or a restore that speak to the session, with one patience."""

from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.routes.route import Route
from remote_kernel.client.saves.fetching import Fetcher
from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.client.saves.remote_calls import PodInterpreter, RemoteCalls
from remote_kernel.client.saves.sending import ObjectSender
from remote_kernel.client.saves.store import SaveStore


class Transfers:
    """Calls of the program, and what is sent and fetched for them.

    Args:
        patience_seconds: how long nothing at all may get through before it fails.

    Attributes:
        calls: of the program.
        fetcher: of what it has saved.
        sender: of what it is to restore.
    """

    def __init__(
        self, route: Route, interpreter: PodInterpreter, store: SaveStore, progress: SaveProgress,
        patience_seconds: float,
    ) -> None:  # fmt: skip
        files = PatientFiles(RemoteFiles(route, interpreter.pod), progress.transfer, patience_seconds)
        self.calls = RemoteCalls(route, interpreter, files)
        self.fetcher = Fetcher(files)
        self.sender = ObjectSender(files, store)
