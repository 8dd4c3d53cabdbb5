"""Description of a pod for people: `facts` in the answer to `GET /api/v2/session?facts=1&kernel=NAME`."""

from dataclasses import dataclass
from typing import Annotated

from remote_kernel.core.limits import SESSION
from remote_kernel.core.numbers import AGE, NAME, Items
from remote_kernel.core.wire.fields import JsonAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts(JsonAnswer):
    """A pod as its agent sees it.

    Attributes:
        pod: its name.
        kernels: how many run in it.
        age_seconds: since the first call for the kernel that was asked for; 0 where it does not run.
        memory_bytes: of that kernel's process and those that it started; 0 where that is not known.
        total_memory_bytes: what all that runs in the pod may use; 0 where that is not known.
        cpus: how many processors it may use.
        packages: what is installed beside the agent, with versions; names in small letters, with hyphens.
    """

    pod: Annotated[str, NAME]
    kernels: int
    age_seconds: Annotated[float, AGE]
    memory_bytes: int
    total_memory_bytes: int
    cpus: int
    packages: Annotated[dict[str, str], Items(most=SESSION.entries or 0)]
