"""State of a pod that all its requests share."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from remote_kernel.core.wire.frames import KEEPALIVE_SECONDS, MAX_STREAM_SECONDS
from remote_kernel.io.activity import ActivityWriter
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.registry import Registry


@dataclass(slots=True)
class Pod:
    """State of a pod.

    Attributes:
        folder: where the interpreters run.
        name: for people, to tell pods apart.
        cooldown_seconds: how long the pool keeps a pod without a call.
        max_stream_seconds: how long a stream of events may last.
        keepalive_seconds: how long one may be silent.
        is_stopping: whether the pod is about to go.
        last_call: when the last request came, in seconds of `clock`.
        activity: where a pool on this machine reads that; `None` where nobody does.
    """

    registry: Registry
    folder: DataFolder
    name: str
    cooldown_seconds: float
    max_stream_seconds: float = MAX_STREAM_SECONDS
    keepalive_seconds: float = KEEPALIVE_SECONDS
    clock: Callable[[], float] = time.monotonic
    is_stopping: bool = False
    last_call: float = 0.0
    activity: ActivityWriter | None = None

    def note_call(self) -> None:
        """Note that somebody uses the pod."""
        self.last_call = self.clock()
        if self.activity is not None:
            self.activity.note(self.last_call)

    def stop(self) -> None:
        """Say that the pod is about to go, so that every open stream ends as it should."""
        self.is_stopping = True
        for kernel in self.registry.kernels:
            kernel.readers.wakeups.tell()
