"""Requests that save and restore variables, as `core.wire.saves` defines them."""

import time

from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import SAVE_CALL
from remote_kernel.core.wire.frames import CALLS_PATH, CANCEL_PATH
from remote_kernel.core.wire.saves import Order, is_job
from remote_kernel.pod.api.calls import Answer, BadRequest, Call, Handler
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.registry import Registry
from remote_kernel.pod.saves.pod_saves import PodSaves


class SaveRequests:
    """The requests about saves of one pod.

    Args:
        pod: its name.

    Attributes:
        handlers: by method and path, as those of `Api`.
    """

    def __init__(self, registry: Registry, folder: DataFolder, pod: str) -> None:
        self._registry = registry
        self._pod = pod
        self._saves = PodSaves(folder, pod)
        self.handlers: dict[tuple[str, str], Handler] = {
            ("POST", CALLS_PATH): self._begin,
            ("GET", CALLS_PATH): self._look,
            ("POST", CANCEL_PATH): self._cancel,
        }

    async def _begin(self, call: Call) -> Answer:
        kernel, job, epoch = self._kernel_of(call), _job_of(call), call.required("epoch")
        order = Order.from_json(parse_json_object(await call.read_body(), SAVE_CALL))
        return Answer.of_json((await self._saves.begin(kernel, epoch, job, order)).to_json())

    async def _look(self, call: Call) -> Answer:
        self._kernel_of(call)
        return Answer.of_json((await self._saves.look(_job_of(call))).to_json())

    async def _cancel(self, call: Call) -> Answer:
        self._kernel_of(call)
        return Answer.of_json((await self._saves.cancel(_job_of(call))).to_json())

    def _kernel_of(self, call: Call) -> PodKernel:
        """Return the kernel that a request speaks of, which its sender uses; raises `EpochMismatch`, `PodMismatch`."""
        call.check_pod(self._pod)
        name, _ = call.kernel()
        kernel = self._registry.get(name, call.required("epoch"))
        if reader := call.reader():
            kernel.readers.claims.note(reader, time.monotonic())
        return kernel


def _job_of(call: Call) -> str:
    job = call.required("job")
    if not is_job(job):
        raise BadRequest("The parameter 'job' is a name of 8 to 64 hexadecimal digits.")
    return job
