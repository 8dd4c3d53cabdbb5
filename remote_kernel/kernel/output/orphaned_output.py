"""Orphaned output: messages of cells that were left running, which no front end may be showing.

They are those that an earlier process of this kernel had sent, and those that have ended here and not in the session.
"""

from collections import deque

from remote_kernel.core.jupyter.parts import copied
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.requests.request import KernelMessage

# As much as somebody will read; the cell itself has not lost what it computed.
MAX_BYTES = 8 * 1024 * 1024

# So many cells are listened for, which is more than anybody leaves running; ids are Jupyter's, of 40 characters or so.
MAX_CELLS = 1000
MAX_ID_CHARS = 200

_OUTPUTS = frozenset({"stream", "display_data", "execute_result", "error"})


class OrphanedOutput:
    """Collects outputs of such cells, the newest `MAX_BYTES` of them.

    Attributes:
        messages: the outputs, oldest first.
        dropped: how many others were too much.
    """

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.dropped = 0
        self._bytes = 0
        self._parents: set[str] = set()
        self._is_open = False

    def open(self) -> None:
        """Begin: whatever cell is heard of now was sent by an earlier process."""
        self._is_open = True

    def expect(self, msg_id: str) -> None:
        """Look for what is said of a cell that was left running."""
        self._parents.add(msg_id)

    def close(self) -> None:
        """Take no new cells, only what those that are known still say."""
        self._is_open = False

    @property
    def has_any(self) -> bool:
        """Return whether there was any such output, also where none of it is kept."""
        return bool(self.messages or self.dropped)

    @property
    def is_active(self) -> bool:
        """Return whether there is anything to look for."""
        return self._is_open or bool(self._parents)

    def note(self, said: KernelMessage) -> bool:
        """Look at a message on iopub whose request has no reply to come; whether it is the first output of one."""
        parent, message = said.parent.msg_id, said.message
        had_any = self.has_any
        if self._is_open and len(self._parents) < MAX_CELLS and len(parent) <= MAX_ID_CHARS:
            self._parents.add(parent)
        if parent in self._parents and said.msg_type in _OUTPUTS:
            self._keep(message)
        return self.has_any and not had_any

    def _keep(self, message: Message) -> None:
        if message.size > MAX_BYTES:
            self.dropped += 1
            return
        self.messages.append(message._replace(parts=copied(message.parts)))
        self._bytes += message.size
        while self._bytes > MAX_BYTES:
            self._bytes -= self.messages.popleft().size
            self.dropped += 1
