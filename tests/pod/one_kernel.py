"""A pod with one kernel, which a test has made."""

from pathlib import Path

from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.registry import Registry


class OneKernel(Registry):
    """A pod's kernels, of which there is one."""

    def __init__(self, kernel: PodKernel, folder: Path) -> None:
        super().__init__(folder=folder, data=folder, environ={})
        self._kernel = kernel

    def get_or_create(self, name: str, kernelspec: str) -> PodKernel:
        return self._kernel
