"""Requests about the packages of a pod's interpreters, as `core.wire.packages` defines them."""

from functools import cached_property

from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import SESSION
from remote_kernel.core.wire import packages as wire
from remote_kernel.core.wire.frames import PACKAGES_PATH
from remote_kernel.pod.api.calls import Answer, Call, Handler
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.registry import Registry
from remote_kernel.pod.packages.pod_packages import PodPackages


class PackageRequests:
    """The requests about packages of one pod.

    Args:
        pod: its name.

    Attributes:
        handlers: by method and path, as those of `Api`.
    """

    def __init__(self, registry: Registry, folder: DataFolder, pod: str) -> None:
        self._registry = registry
        self._folder = folder
        self._pod = pod
        self.handlers: dict[tuple[str, str], Handler] = {
            ("GET", PACKAGES_PATH): self._describe,
            ("POST", PACKAGES_PATH): self._install,
        }

    @cached_property
    def _packages(self) -> PodPackages:
        registry = self._registry
        return PodPackages(scratch=registry.scratch, environ=registry.environ, folder=self._folder, pod=self._pod)

    def _kernelspec_of(self, call: Call) -> str:
        call.check_pod(self._pod)
        return call.kernel()[1]

    async def _describe(self, call: Call) -> Answer:
        return Answer.of_json((await self._packages.describe(self._kernelspec_of(call))).to_json())

    async def _install(self, call: Call) -> Answer:
        kernelspec, job = self._kernelspec_of(call), call.required("job")
        order = wire.Order.from_json(parse_json_object(await call.read_body(), SESSION))
        return Answer.of_json((await self._packages.install(kernelspec, order, job)).to_json())
