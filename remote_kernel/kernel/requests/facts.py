"""Facts about the session, on which decisions about requests depend."""

from typing import NamedTuple

from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire.frames import Hello


class SessionFacts(NamedTuple):
    """Facts about the session at a moment.

    Attributes:
        exists: there is one, as far as anybody was told, or will be for a message that was sent.
        is_ahead: one is on its way that no message has asked for.
        is_there: the link has been attached to it, and it has not been lost.
        is_attached: it can be reached right now.
        is_sought: it is reached, or looked for.
        is_kept: it is kept warm, as it was used not long ago.
        is_inherited: an earlier process of this kernel has left it, and this one has not reached it so far.
        is_shared: other kernels use it.
        waiting_bytes: how much waits to be sent there.
        hello: what its pod has said of itself.
        untold: its loss, of which no cell has been told.
        is_prepared: nothing is to be done before a cell runs, as far as can be known without a look.
        brings_files: files come back from it behind each cell.
    """

    exists: bool = False
    is_ahead: bool = False
    is_there: bool = False
    is_attached: bool = False
    is_sought: bool = False
    is_kept: bool = False
    is_inherited: bool = False
    is_shared: bool = False
    waiting_bytes: int = 0
    hello: Hello | None = None
    untold: SessionLost | None = None
    is_prepared: bool = True
    brings_files: bool = False
