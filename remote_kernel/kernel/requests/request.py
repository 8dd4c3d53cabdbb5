"""A request of the front end: its states from arrival to end; and what a kernel in the pod says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.jupyter.messages import (
    Header,
    parse_header,
    parse_object,
    parse_parent,
    parse_reply,
)
from remote_kernel.core.limits import HEADER
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.magics.command import Command

# In the metadata of a request: who sent it shows the waiting line and takes it away, although nobody may be looking.
SHOWS_WAITING = "remote_kernel_shows_waiting"

# Of the content of what a kernel says, as much as is read in the time that its header takes.
MAX_READ_BYTES = 2 * 1024

_NOBODY = Header(msg_id="", msg_type="", session="", subshell_id="")


class Interrupted(RemoteKernelError):
    """The user interrupted a cell that waits for the session."""

    @property
    def name(self) -> str:
        return "KeyboardInterrupt"


class Origin(StrEnum):
    """Origin of a request.

    FRONT_END: a front end.
    HIDDEN: VS Code, which has had an answer of ours: what the pod says of it is for nobody.
    PROBE: we; what the pod says of it is for nobody else.
    """

    FRONT_END = "front end"
    HIDDEN = "hidden"
    PROBE = "probe"


class State(StrEnum):
    """State of a request.

    HELD: waits here, for its turn among the cells or for a session.
    HERE: is being done here: a `%session` command.
    SENT: is with the link, the pod, or in the queue of the pod's kernel.
    RUNNING: the pod's kernel has said "busy" of it.
    OVERTAKEN: its reply has come ahead of "busy".
    REPLIED: has its reply; "idle" is to come.
    UNANSWERED: "idle" has come ahead of its reply, or there is none.
    LEFT: has ended here with a reply of ours, and may go on in the session.
    DONE: nothing more is to come.
    """

    HELD = "held"
    HERE = "here"
    SENT = "sent"
    RUNNING = "running"
    OVERTAKEN = "overtaken"
    REPLIED = "replied"
    UNANSWERED = "unanswered"
    LEFT = "left"
    DONE = "done"


class Event(StrEnum):
    """Event in the life of a request: what we do with it, what the pod's kernel says of it, and its end.

    ENDS: we reply, and the pod has nothing more to say of it.
    IS_LEFT: we reply, and the session may go on with it.
    """

    BEGINS_HERE = "begins here"
    IS_SENT = "is sent"
    BUSY = "busy"
    REPLY = "reply"
    IDLE = "idle"
    ENDS = "ends"
    IS_LEFT = "is left"


# Reply and status come through two sockets of the pod's kernel, so either may be the first in its journal. What is not
# in here is not a move: it is of another request, or of another front end's.
MOVES: Mapping[tuple[State, Event], State] = {
    (State.HELD, Event.BEGINS_HERE): State.HERE,
    (State.HELD, Event.IS_SENT): State.SENT,
    (State.SENT, Event.BUSY): State.RUNNING,
    (State.SENT, Event.REPLY): State.OVERTAKEN,
    (State.SENT, Event.IDLE): State.UNANSWERED,
    (State.RUNNING, Event.REPLY): State.REPLIED,
    (State.RUNNING, Event.IDLE): State.UNANSWERED,
    (State.OVERTAKEN, Event.BUSY): State.REPLIED,
    (State.OVERTAKEN, Event.IDLE): State.DONE,
    (State.REPLIED, Event.IDLE): State.DONE,
    (State.UNANSWERED, Event.REPLY): State.DONE,
    (State.LEFT, Event.BUSY): State.LEFT,
    (State.LEFT, Event.REPLY): State.LEFT,
    (State.LEFT, Event.IDLE): State.DONE,
    **{(state, Event.ENDS): State.DONE for state in State if state is not State.DONE},
    **{(state, Event.IS_LEFT): State.LEFT for state in (State.SENT, State.RUNNING)},
    **{(state, Event.IS_LEFT): State.DONE for state in (State.HELD, State.HERE, State.UNANSWERED)},
}

# What front ends ask by themselves, again and again, as for a panel with the memory and processor time of kernels.
POLLS = frozenset({"usage_request"})

# Those that the front end still waits for the reply of.
OPEN = frozenset({State.HELD, State.HERE, State.SENT, State.RUNNING, State.UNANSWERED})


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """A request of a front end, parsed once.

    Attributes:
        prefixes: ZeroMQ's way back to who asked.
        header: the header part, the parent of everything said about it.
        message: to be passed on; `None` once it has been.
        command: the `%session` command that a cell consists of.
        is_execute: whether it runs code.
        is_silent: whether nobody sees the result of a cell.
        is_attended: whether somebody may be looking; what executes notebooks by itself allows no input and asks for
            nothing that only a person needs.
        shows_waiting: whether who sent it is known to take the waiting line away, attended or not.
        is_explained: whether a hint for an error of it was looked for.
        is_lost: whether it ends with a session that is lost, and not with the next one.
        is_withheld: whether its end waits for something that is done here, such as fetching the files it has made.
        is_busy_said: whether the front end was told "busy" of it.
        is_idle_said: whether the front end was told "idle" of it.
        notes: how many notices about the session were shown in it.
    """

    channel: Channel
    prefixes: list[bytes] = field(repr=False)
    header: bytes
    info: Header
    message: Message | None = field(default=None, repr=False)
    origin: Origin = Origin.FRONT_END
    state: State = State.HELD
    command: Command | None = None
    is_silent: bool = False
    is_attended: bool = False
    shows_waiting: bool = False
    is_explained: bool = False
    is_lost: bool = False
    is_withheld: bool = False
    is_busy_said: bool = False
    is_idle_said: bool = False
    notes: int = 0
    is_execute: bool = field(init=False)
    _content: dict[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.is_execute = self.info.msg_type == "execute_request"

    @classmethod
    def parse(cls, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> "Request":
        """Read a message of a front end; raises `WireError` when it is none."""
        info, message = parse_header(parts[0]), Message(channel, parts)
        return cls(channel=channel, prefixes=prefixes, header=parts[0], info=info, message=message)

    @property
    def content(self) -> dict[str, Any]:
        """The content of one that has not been passed on; raises `WireError` when it is not a JSON object."""
        if self._content is None:
            assert self.message is not None
            self._content = parse_object(self.message.parts[3])
        return self._content

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of one that has not been passed on; raises `WireError` when it is not a JSON object."""
        assert self.message is not None
        return parse_object(self.message.parts[2])

    def is_marked(self, name: str) -> bool:
        """Return whether the metadata of one that has not been passed on says so."""
        assert self.message is not None
        metadata = self.message.parts[2]
        return name.encode() in metadata and parse_reply(metadata).get(name) is True

    @property
    def size(self) -> int:
        """Return how many bytes are to be passed on."""
        return self.message.size if self.message is not None else 0

    def take_message(self) -> Message:
        """Return what is to be passed on, and keep nothing of it."""
        message, self.message, self._content = self.message, None, None
        assert message is not None
        return message

    def move(self, event: Event) -> bool:
        """Go on to the next state; whether there is one."""
        after = MOVES.get((self.state, event))
        if after is not None:
            self.state = after
        return after is not None

    @property
    def expects_reply(self) -> bool:
        return self.info.msg_type.endswith("_request")

    @property
    def is_cell(self) -> bool:
        """Return whether a user sees the result."""
        return self.is_execute and not self.is_silent

    @property
    def has_begun(self) -> bool:
        """Return whether the pod's kernel works on it, or has, and its reply is to come."""
        return self.state in {State.RUNNING, State.UNANSWERED}

    @property
    def reply_type(self) -> str:
        return self.info.msg_type.removesuffix("_request") + "_reply"


class KernelMessage(NamedTuple):
    """A message of the pod's kernel, as far as routing needs it; fields that are not there are "".

    Attributes:
        state: the `execution_state` of a status.
        key: the type and the id of the request that it belongs to.
        is_iopub: whether it is for all front ends.
    """

    message: Message
    msg_type: str
    parent: Header
    state: str
    key: tuple[str, str]
    is_iopub: bool

    @classmethod
    def parse(cls, message: Message) -> "KernelMessage":
        """Read the headers, and metadata and a content that are short. Where the parent header is none, {} takes its
        place.

        Raises:
            WireError: another of them is not as Jupyter has it. Front ends look into it before they look for errors.
        """
        head, parent_part, metadata, content, *buffers = message.parts
        parent = parse_parent(parent_part)
        if parent == _NOBODY and parent_part != b"{}":
            message = message._replace(parts=(head, b"{}", metadata, content, *buffers))
        header = parse_object(head) if len(head) <= (HEADER.bytes or 0) else {}
        msg_type = header.get("msg_type")
        if type(msg_type) is not str or type(header.get("msg_id")) is not str:
            raise WireError("a message without a type or an id")
        if metadata != b"{}" and len(metadata) <= MAX_READ_BYTES:
            parse_object(metadata)
        state = parse_object(content).get("execution_state") if len(content) <= MAX_READ_BYTES else ""
        replied_to = msg_type.removesuffix("_reply") + "_request" if msg_type.endswith("_reply") else ""
        key = parent.msg_type or replied_to, parent.msg_id
        is_iopub = message.channel is Channel.IOPUB
        state = state if msg_type == "status" and isinstance(state, str) else ""
        return cls(message, msg_type, parent, state, key, is_iopub)

    @property
    def is_use(self) -> bool:
        """Return whether it shows that somebody uses the session."""
        return self.key[0] not in POLLS
