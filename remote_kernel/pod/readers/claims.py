"""Claims to the kernels of a pod, and what one of their users may give back: plain decisions; `now` is any clock in
seconds."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Readers come and go with local kernels. Those beyond it are remembered as somebody, not by their names.
MAX_CLAIMS = 256


class Claims:
    """Claims to one kernel: its users, and when they used it. A claim ends after the cooldown, as a session does.

    Who follows the kernel has a claim for as long as that, however long ago it began.

    Args:
        seconds: the cooldown.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._used_at: dict[str, float] = {}
        self._streams: Counter[str] = Counter()

    def note(self, user: str, now: float) -> None:
        """Note that `user` uses the kernel; "" for who does not say who it is."""
        if user not in self._used_at and len(self._used_at) >= MAX_CLAIMS:
            self._used_at = {name: used_at for name, used_at in self._used_at.items() if now - used_at < self._seconds}
            user = user if len(self._used_at) < MAX_CLAIMS else ""
        self._used_at[user] = now

    def follow(self, user: str, now: float) -> None:
        """Note that `user` follows the kernel; its own earlier streams may not have ended yet."""
        self._streams[user] += 1
        self.note(user, now)

    def leave(self, user: str, now: float) -> None:
        """Note that a stream has ended, whose `user` may have said before that it will not come back."""
        self._streams[user] -= 1
        self._streams += Counter()  # forgets the zeros
        if user in self._used_at:
            self._used_at[user] = now

    def drop(self, user: str) -> None:
        """Forget a user, who has said that it will not come back."""
        self._used_at.pop(user, None)

    def peers_of(self, user: str) -> int:
        """Return how many others follow the kernel."""
        return len(self._streams) - (user in self._streams)

    def seconds_left(self, now: float) -> float:
        """Return for how long somebody has a claim at least; none or less when nobody has."""
        return max((left for _, left in self._left(now)), default=-math.inf)

    def others(self, user: str, now: float) -> int:
        """Return how many others have a claim.

        Who does not say who it is is another than `user`, also where that has no name.
        """
        return sum(left > 0 and not (user and name == user) for name, left in self._left(now))

    def _left(self, now: float) -> Iterator[tuple[str, float]]:
        for name, used_at in self._used_at.items():
            yield name, self._seconds + (0.0 if name in self._streams else used_at - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A kernel of a pod, as who wants to give something back finds it.

    Attributes:
        others: how many others have a claim to it.
        is_used: whether it was ever asked to do anything.
    """

    name: str
    epoch: str
    others: int
    is_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Verdict on a release: what is to end.

    Attributes:
        ends_kernel: whether the kernel that was named may be shut down.
        ends_pod: whether nobody needs the pod any more.
        others: how many others have a claim to the kernel that was named.
        kernels: how many kernels the pod goes on with.
    """

    ends_kernel: bool
    ends_pod: bool
    others: int
    kernels: int


def judge(uses: Sequence[Use], *, kernel: str, epoch: str, is_order: bool) -> Verdict:
    """Decide what becomes of a pod whose `kernel` is given back by somebody who knew it as `epoch`.

    Args:
        epoch: "" where nothing was heard of the pod; another epoch than that of the kernel is somebody else's.
        is_order: whether the user has said so, who may end what others use as well.
    """
    wanted = next((use for use in uses if epoch and (use.name, use.epoch) == (kernel, epoch)), None)
    others = wanted.others if wanted is not None else 0
    ends_kernel = wanted is not None and (is_order or not others)
    left = sum(use.is_used or use.others > 0 for use in uses if not (ends_kernel and use is wanted))
    return Verdict(ends_kernel=ends_kernel, ends_pod=not left, others=others, kernels=left)
