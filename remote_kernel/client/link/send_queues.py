"""Send queues of a link: which message goes through which, and what follows from the pod's answers."""

from collections.abc import Callable, Iterator

from remote_kernel.client.link.events import Event, Failed, Refused, Waiting
from remote_kernel.client.link.send_queue import Post, SendQueue
from remote_kernel.client.retry import describe_wait, is_passing
from remote_kernel.core.errors import Forbidden, PoolFull, PoolNotReady, PoolRefused, RemoteKernelError
from remote_kernel.core.wire import frames as wire

# After a refusal the event stream says why, if it is alive.
EXPLANATION_SECONDS = 1.0


class SendQueues:
    """One queue for the control channel, and one for the others. All times are in seconds, monotonic."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._shell, self._control = self._all = SendQueue(chance), SendQueue(chance)
        self._of_channel = {
            wire.Channel.SHELL: self._shell,
            wire.Channel.CONTROL: self._control,
            wire.Channel.STDIN: self._shell,
        }
        self._refused_epoch = ""
        self._explained_by = float("inf")

    def __iter__(self) -> Iterator[SendQueue]:
        return iter(self._all)

    def __getitem__(self, channel: wire.Channel) -> SendQueue:
        return self._of_channel[channel]

    @property
    def bytes(self) -> int:
        """Return how much of what was sent the pod has not accepted."""
        return self._shell.bytes + self._control.bytes

    @property
    def are_empty(self) -> bool:
        return not any(self._all)

    def see(self, cursor: int) -> None:
        """Say what the front end has been shown, for the messages that came before there was a session."""
        for queue in self._all:
            queue.see(cursor)

    def clear(self, *channels: wire.Channel) -> list[wire.Message]:
        """Drop the messages that the pod has not accepted, of all channels or of some, and return them."""
        queues = {self[channel] for channel in channels or self._of_channel}
        return [message for queue in queues for message in queue.clear()]

    def interrupt(self) -> None:
        """Note that nobody hears any more what became of the requests that are under way: they are made again."""
        for queue in self._all:
            queue.interrupt()

    def fail(self, error: RemoteKernelError) -> Failed:
        """Drop everything, as nothing will be answered; return what to tell of it."""
        unsent = tuple(message for queue in self._all for message in queue.unsent)
        self.clear()
        return Failed(error, unsent)

    def failed(
        self, queue: SendQueue, post: Post, error: RemoteKernelError, now: float, *, is_sent: bool = True
    ) -> Event | None:
        """Note that the pod has not accepted a request, as far as is known; return what to tell of it.

        Args:
            is_sent: whether the request may have left this machine.
        """
        if not queue.failed(post, is_certain=not is_sent or not _leaves_open(error)):
            return None  # dropped meanwhile, and whoever sent it has been told
        if queue.retry(error, now):
            return Waiting(describe_wait(error))
        # Nothing else would be accepted; or it is a gateway's page, which does not know what the pod has got before.
        if not isinstance(error, PoolRefused) or (queue.has_doubtful and not error.code):
            return self.fail(error)
        if error.code == wire.EPOCH_MISMATCH:
            self._refused_epoch, self._explained_by = post.epoch, now + EXPLANATION_SECONDS
            queue.hold(self._explained_by)
            return None
        refused = queue.refuse(len(post.batch))
        return None if refused is None else Refused(refused, error)

    def believe(self) -> None:
        """Note that the epoch was found to be there."""
        self._refused_epoch = ""

    def next_doubt(self, epoch: str, now: float) -> float:
        """Return in how many seconds an epoch is to be taken for gone, as the pod refuses what is for it, and the event
        stream does not say what has happened; 0 for now."""
        return max(0.0, self._explained_by - now) if epoch == self._refused_epoch else float("inf")


def _leaves_open(error: RemoteKernelError) -> bool:
    """Return whether the pod may have accepted the request that failed with it."""
    return is_passing(error) and not isinstance(error, PoolFull | PoolNotReady | Forbidden)
