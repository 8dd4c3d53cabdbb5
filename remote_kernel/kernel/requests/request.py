"""A request of the front end."""

from dataclasses import dataclass, field

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Header
from remote_kernel.core.wire.frames import Channel


class Interrupted(RemoteKernelError):
    """The user interrupted a cell that waits for the session."""

    @property
    def name(self) -> str:
        return "KeyboardInterrupt"


@dataclass(slots=True, kw_only=True)
class Request:
    """A request of the front end that has no reply yet.

    Attributes:
        prefixes: ZeroMQ's way back to who asked.
        header: the header part, the parent of everything said about it.
        has_begun: whether the pod's kernel works on it, or has.
        has_said_all: whether the pod's kernel has said "idle" of it.
        is_attended: whether somebody may be looking; what executes notebooks by itself allows no input.
    """

    channel: Channel
    prefixes: list[bytes] = field(repr=False)
    header: bytes
    info: Header
    is_silent: bool = False
    has_begun: bool = False
    has_said_all: bool = False
    is_attended: bool = False

    @property
    def is_execute(self) -> bool:
        return self.info.msg_type == "execute_request"

    @property
    def is_cell(self) -> bool:
        """Return whether a user sees the result."""
        return self.is_execute and not self.is_silent

    @property
    def reply_type(self) -> str:
        return self.info.msg_type.removesuffix("_request") + "_reply"
