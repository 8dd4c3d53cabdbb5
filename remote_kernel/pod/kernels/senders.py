"""Senders of messages, and the last number that each has been accepted with: a repeated message is not accepted again.

Not all of them can be remembered. A message says which journal position its front end had seen when it was made, which
is no later than the one at which it was accepted. So of a sender that is not known, what was made before the last
message of one that was forgotten may be a repetition, and is refused; what was made later is not.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.wire.frames import Message

# Senders come and go with local kernels, two at a time; of this many it is known what they have sent.
MAX_SENDERS = 256

# A name is 16 characters; this bounds the memory that somebody else's may take.
MAX_NAME_LENGTH = 128


class SenderForgotten(RemoteKernelError):
    """A message that may have been accepted, by a sender of whom that is no longer known."""

    def __init__(self) -> None:
        super().__init__(
            "So many others have used the session meanwhile that it cannot tell whether it has run this already. It "
            "was not run again: look at what it may have done, then run it once more if need be."
        )


@dataclass(frozen=True, slots=True)
class _Last:
    number: int
    position: int


class Senders:
    """The senders whose numbers are known, the one that was heard of last at the end."""

    def __init__(self, max_senders: int = MAX_SENDERS) -> None:
        self._max_senders = max_senders
        self._last: OrderedDict[str, _Last] = OrderedDict()
        self._forgotten_position = -1

    def is_new(self, sender: str, number: int) -> bool:
        """Return whether a message was not accepted so far, as far as that is known."""
        last = self._last.get(sender)
        return last is None or number > last.number

    def check(self, sender: str, new: Sequence[Message], unsafe: Sequence[Message]) -> None:
        """Raise where `new` must not be accepted.

        Args:
            unsafe: those of them that must not be accepted twice.

        Raises:
            SenderForgotten: they may have been accepted.
            WireError: their numbers have a hole, or the name of the sender is too long.
        """
        if len(sender) > MAX_NAME_LENGTH:
            raise WireError(f"the name of a sender has at most {MAX_NAME_LENGTH} characters")
        last = self._last.get(sender)
        if last is None and any(message.seen <= self._forgotten_position for message in unsafe):
            raise SenderForgotten
        first = last.number + 1 if last else 1
        if last is None and self._forgotten_position >= 0:
            first = new[0].sequence  # one that was forgotten goes on with its count
        if [message.sequence for message in new] != list(range(first, first + len(new))):
            raise WireError("the messages are not numbered without holes")

    def note(self, sender: str, number: int, position: int) -> None:
        """Note that a message was accepted, when the journal had come to `position`."""
        self._last[sender] = _Last(number, position)
        self._last.move_to_end(sender)
        if len(self._last) > self._max_senders:
            _, forgotten = self._last.popitem(last=False)
            self._forgotten_position = max(self._forgotten_position, forgotten.position)
