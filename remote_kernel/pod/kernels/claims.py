"""Claims to the kernels of a pod, and what one of their users may give back: plain decisions; `now` is any clock in
seconds."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

# Readers come and go with local kernels. Those beyond it are remembered as somebody, not by their names.
MAX_CLAIMS = 256


class Claims:
    """Claims to one kernel: its users, and when they used it. A claim ends after the cooldown, as a session does.

    Args:
        seconds: the cooldown.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._used_at: dict[str, float] = {}

    def note(self, user: str, now: float) -> None:
        """Note that `user` uses the kernel; "" for who does not say who it is."""
        if user not in self._used_at and len(self._used_at) >= MAX_CLAIMS:
            self._used_at = {name: used_at for name, used_at in self._used_at.items() if now - used_at < self._seconds}
            user = user if len(self._used_at) < MAX_CLAIMS else ""
        self._used_at[user] = now

    def note_end(self, user: str, now: float) -> None:
        """Note that `user` has stopped following, unless it has said before that it will not come back."""
        if user in self._used_at:
            self._used_at[user] = now

    def drop(self, user: str) -> None:
        """Forget a user, who has said that it will not come back."""
        self._used_at.pop(user, None)

    def seconds_left(self, followers: Collection[str], now: float) -> float:
        """Return for how long somebody has a claim at least; none or less when nobody has."""
        last = max(
            (now if name in followers else used_at for name, used_at in self._used_at.items()), default=-math.inf
        )
        return last + self._seconds - now

    def others(self, user: str, followers: Collection[str], now: float) -> int:
        """Return how many others have a claim; those who follow have one, however long ago they began.

        Who does not say who it is is another than `user`, also where that has no name.
        """
        claimed = {
            name for name, used_at in self._used_at.items() if name in followers or now - used_at < self._seconds
        }
        return len(claimed - ({user} if user else set()))


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
