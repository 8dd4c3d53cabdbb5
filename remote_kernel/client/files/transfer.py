"""Transfer of files: progress, piece size, and retries, for uploads and downloads."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from remote_kernel.client.retry import Budget, Retry, Wait, describe_wait
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import PoolError, PoolRefused
from remote_kernel.core.text.human_numbers import count_of, format_bytes, format_seconds

T = TypeVar("T")

# A piece that takes about a second shows that something moves, and costs little when it is lost.
FIRST_PIECE_BYTES = 256 * 1024
MIN_PIECE_BYTES = 4 * 1024
QUICK_SECONDS = 0.5
SLOW_SECONDS = 2.0

# So many names stand in one sentence.
MAX_NAMES = 3


@dataclass(slots=True, kw_only=True)
class Progress:
    """Progress of a transfer; whoever shows it looks at it as often as it likes.

    Attributes:
        is_upload: which way.
        files, bytes: how much there is in all, once that is known.
        unchanged: how many of the files that are done were there already.
        fetched, kept_twice: of a workspace, how many came to their places here, and beside what has changed here, too.
        name: what is on its way.
        wait: what the transfer waits for.
        moved: bytes that have gone over the line, and not those that were there already.
        moving_since: when the first of them set out.
        place: where it all goes, for people.
    """

    is_upload: bool
    files: int = 0
    bytes: int = 0
    files_done: int = 0
    bytes_done: int = 0
    unchanged: int = 0
    fetched: int = 0
    kept_twice: int = 0
    name: str = ""
    wait: Wait | None = None
    moved: int = 0
    place: str = ""
    started: float = field(default_factory=time.monotonic)
    moving_since: float = 0.0

    def begin_to_move(self) -> None:
        """Note that a piece is about to set out."""
        self.moving_since = self.moving_since or time.monotonic()

    def bytes_per_second(self, now: float) -> float:
        """Return the mean speed of what has gone over the line until `now` (monotonic seconds)."""
        return self.moved / max(now - self.moving_since, 0.001)

    @property
    def stopping_point(self) -> str:
        """The place where it is, behind "stopped"."""
        return f"at {format_bytes(self.bytes_done)} of {format_bytes(self.bytes)}"

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        if self.bytes:
            return min(self.bytes_done / self.bytes, 1.0)
        return self.files_done / self.files if self.files else 0.0

    def describe(self, now: float) -> str:
        """Return the state at `now` (monotonic seconds) as one line, without the bar."""
        if self.wait is not None:
            return f"{self.wait.reason}, then it goes on" + (f" ({self.wait.detail})" if self.wait.detail else "")
        if not self.files:
            return "looking at the files"
        said = f"{format_bytes(self.bytes_done)} of {format_bytes(self.bytes)}"
        rate = self.bytes_per_second(now)
        if not self.moved or self.bytes_done >= self.bytes:
            return said
        left = format_seconds((self.bytes - self.bytes_done) / rate)
        return f"{said}, {format_bytes(rate)}/s, {left} left"

    def summarise(self, now: float) -> str:
        """Return the sentences for the end of the transfer at `now`."""
        if not self.files:
            return f"There was nothing to {'upload' if self.is_upload else 'download'}."
        done = "Uploaded" if self.is_upload else "Downloaded"
        took = max(now - self.started, 0.001)
        rate = f" ({format_bytes(self.bytes_per_second(now))}/s)" if self.moved >= 1_000_000 else ""
        same = f" {count_of(self.unchanged, 'file')} had not changed." if self.unchanged else ""
        return (
            f"{done} {count_of(self.files_done, 'file')}, {format_bytes(self.bytes)}, to {self.place} in "
            f"{format_seconds(took)}{rate}.{same} All checksums agree."
        )


class Steps:
    """Progress in steps, of which some are a transfer: the current `step` in words, and the `transfer`."""

    __slots__ = ()

    step: str
    transfer: Progress

    @property
    def stopping_point(self) -> str:
        """The place where it is, behind "stopped"."""
        return f"while {self.step}"

    @property
    def wait(self) -> Wait | None:
        """The trouble that it waits for to pass."""
        return self.transfer.wait


@dataclass(slots=True)
class Told:
    """Remarks about a transfer.

    Attributes:
        failures: a sentence for each file that did not go, and should have.
        notes: sentences about what else the user may not expect.
    """

    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class PieceSize:
    """Size in bytes of the next request: about what the line has carried in a second.

    Args:
        largest: what the transport can carry.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.bytes = min(FIRST_PIECE_BYTES, largest)

    def arrived(self, seconds: float) -> None:
        """Learn from a piece that took so long."""
        if seconds < QUICK_SECONDS:
            self.bytes = min(self.bytes * 2, self._largest)
        elif seconds > SLOW_SECONDS:
            self.shrink()

    def shrink(self) -> None:
        """Learn from a piece that was lost."""
        self.bytes = max(self.bytes // 2, min(MIN_PIECE_BYTES, self._largest))

    def refuse(self) -> bool:
        """Learn from a piece that was more than something on the way takes; whether a smaller one can be tried."""
        if self.bytes <= MIN_PIECE_BYTES:
            return False
        self.shrink()
        self._largest = self.bytes
        return True


class Patience:
    """Tries requests again for as long as the trouble may pass.

    Args:
        seconds: how long nothing at all may get through.
    """

    def __init__(self, progress: Progress, piece: PieceSize, seconds: float) -> None:
        self._progress = progress
        self._piece = piece
        self._budget = Budget(full_seconds=seconds, silent_seconds=seconds)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns in the end, which may be made any number of times; raises as it does."""
        retry = Retry()
        while True:
            try:
                result = await attempt()
            except PoolError as error:
                if _is_too_large(error) and self._piece.refuse():
                    continue
                wait = retry.next_wait(error, time.monotonic(), self._budget)
                if wait is None:
                    raise
                self._piece.shrink()
                self._progress.wait = describe_wait(error)
                await asyncio.sleep(wait)
            else:
                self._progress.wait = None
                return result

    async def move(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """As `persist`, for an attempt that moves a piece."""

        async def timed() -> T:
            self._progress.begin_to_move()
            started = time.monotonic()
            result = await attempt()
            self._piece.arrived(time.monotonic() - started)
            return result

        return await self.persist(timed)


def _is_too_large(error: PoolError) -> bool:
    """Return whether a proxy, or Azure's front door, takes less at once than what was sent."""
    return isinstance(error, PoolRefused) and error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def list_names(paths: Sequence[str]) -> str:
    """Return a few of many paths for a sentence."""
    names = [f"'{shown(path)}'" for path in paths[:MAX_NAMES]]
    more = [f"{len(paths) - MAX_NAMES:,} more"] if len(paths) > MAX_NAMES else []
    *most, last = names + more
    return f"{', '.join(most)} and {last}" if most else last


def join_sentences(sentences: Sequence[str]) -> str:
    """Return a few of many sentences as one text."""
    more = len(sentences) - MAX_NAMES
    return " ".join([*sentences[:MAX_NAMES], *([f"And {count_of(more, 'file')} more."] if more > 0 else [])])
