"""Cells of a kernel: the requests to execute without a reply so far, and those that are not to run. Plain decisions."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Header, is_error, parse_object, parse_parent

# Cells that were given up while they may still have been on their way, and are not run when they arrive.
MAX_REVOKED = 256

# Behind every position that a front end can have seen: that of an error that is in no journal so far, and how much the
# agent has seen, whose own cells have nothing to do with those before.
ALL_SEEN = 1 << 64


@dataclass(slots=True, eq=False)
class Cell:
    """An `execute_request` without a reply so far.

    Attributes:
        began_at: the journal position at which the kernel has said that it works on it; 0 as long as it waits.
        began: when that was, by the clock of the event loop.
        hit_at: when it was interrupted last or will be, by that clock.
        is_idle: whether the kernel has said that it is done with it, ahead of the reply.
        aim: that of an interrupt which hits it as soon as its code runs.
    """

    msg_id: str
    content: bytes
    subshell_id: str
    began_at: int = 0
    began: float = 0.0
    hit_at: float = -inf
    is_idle: bool = False
    aim: Aim | None = None

    @property
    def is_running(self) -> bool:
        return bool(self.began_at) and not self.is_idle

    @property
    def is_unwanted(self) -> bool:
        """Return whether it was to be interrupted, with nobody waiting for it any more."""
        return self.aim is not None and self.aim.is_exclusive

    def stops_on_error(self) -> bool:
        """Return whether an error in this request aborts the ones behind it ("Execute" in the messaging protocol)."""
        content = self._parse()
        return bool(content.get("stop_on_error", True)) and not content.get("silent", False)

    def is_seen(self) -> bool:
        """Return whether it is one of the notebook's, and none that a front end runs for itself."""
        content = self._parse()
        return not content.get("silent", False) and bool(content.get("store_history", True))

    def _parse(self) -> dict[str, Any]:
        try:
            return parse_object(self.content)
        except WireError:  # what the kernel has made of it is its reply
            return {}


class Cells:
    """The cells that the current interpreter of a kernel has. Their message ids need not be unique.

    Attributes:
        is_interrupted: whether what runs was interrupted already; a second interrupt could hit what it does at its end.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._open: list[Cell] = []  # oldest first
        # Unwanted ones with a reply and without an idle: until then ipykernel aborts what comes (its `_abort_queues`).
        self._aborting: set[str] = set()
        self._revoked: OrderedDict[str, bool] = OrderedDict()
        self._last_error: dict[str, int] = {}  # by subshell, the journal position of an error that aborts
        self._unseen: dict[str, str] = {}  # errors that are not there so far: the subshell, by message id

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._open

    @property
    def is_busy(self) -> bool:
        """Return whether a request to execute is not done; one that cannot be read gets no reply at all."""
        return any(not cell.is_idle for cell in self._open)

    @property
    def running(self) -> Cell | None:
        """The oldest cell that the kernel works on."""
        return next((cell for cell in self._open if cell.is_running), None)

    @property
    def has_unwanted(self) -> bool:
        """Return whether a cell has begun that was to be interrupted: its error would abort what is behind it."""
        return bool(self._aborting) or any(cell.is_unwanted and cell.began_at for cell in self._open)

    def clear(self) -> None:
        """Forget what an interpreter had that is gone."""
        self._open.clear()
        self._aborting.clear()
        self._last_error.clear()
        self._unseen.clear()
        self.is_interrupted = False

    def are_refused(self, header: Header, seen: int) -> bool:
        """Return whether a request that arrives is not to run.

        It was given up while it was on its way. Or the front end, which had `seen` so much of the journal, sent it
        before it could see that a cell ahead of it had failed. With the kernel on the same machine it would have been
        in the kernel's queue by then and been aborted there.
        """
        is_unseen = header.subshell_id in self._unseen.values()
        last_error = ALL_SEEN if is_unseen else self._last_error.get(header.subshell_id, 0)
        is_revoked = self._revoked.pop(header.msg_id, False)  # another one may have this id
        return is_revoked or seen < last_error

    def add(self, header: Header, content: bytes) -> None:
        """Note a request that the interpreter is about to get."""
        if not self._open:
            self.is_interrupted = False
        self._open.append(Cell(header.msg_id, content, header.subshell_id))

    def of(self, parent: bytes) -> Cell | None:
        """Return the cell that a message with this parent header belongs to: the oldest that is not idle."""
        if not self._open:
            return None
        msg_id = parse_parent(parent).msg_id
        return next((cell for cell in self._open if cell.msg_id == msg_id and not cell.is_idle), None)

    def end(self, parent: bytes, reply: bytes) -> Cell | None:
        """Forget the cell that has a reply, which nobody can have seen so far, and return it."""
        msg_id = parse_parent(parent).msg_id
        cell = next((cell for cell in self._open if cell.msg_id == msg_id), None)
        if cell is not None:
            self._open.remove(cell)
            self.is_interrupted = False
            if cell.is_unwanted and not cell.is_idle:
                self._aborting.add(msg_id)
            if is_error(reply) and cell.stops_on_error() and not cell.is_unwanted:
                self._unseen[msg_id] = cell.subshell_id
        return cell

    def note_shown(self, parent: bytes, position: int) -> None:
        """Note at which position of the journal the reply to the request with this header is."""
        subshell_id = self._unseen.pop(parse_parent(parent).msg_id, None) if self._unseen else None
        if subshell_id is not None:
            self._last_error[subshell_id] = position

    def note_idle(self, parent: bytes) -> None:
        """Note that the kernel is done with the request that has this header."""
        if self._aborting:
            self._aborting.discard(parse_parent(parent).msg_id)

    def are_hit(self, aim: Aim, seen: int) -> bool:
        """Return whether an interrupt hits what runs: it may have been on its way while other things were run.

        Where nothing runs that it is for, it is kept for its cells that wait, which get it when they begin; those that
        have not arrived are not run. What waits behind a cell that is hit is left to the error of that one, as in any
        kernel.

        Args:
            seen: the journal position that its front end had been shown.
        """
        running = [cell for cell in self._open if cell.is_running]
        if not aim.cells:  # for what the front end could see running, which may be no cell
            return not self._open or any(cell.began_at <= seen for cell in running)
        meant = [cell for cell in running if cell.msg_id in aim.cells or cell.began_at <= seen]
        if meant and not aim.is_exclusive:
            return any(cell.aim is None or cell.is_unwanted for cell in meant)  # else it gets one in a moment
        named = [cell for cell in self._open if cell.msg_id in aim.cells and not cell.is_unwanted]
        is_hit = any(cell.is_running and cell.aim is None for cell in named)
        self._revoke(aim.cells - {cell.msg_id for cell in self._open})
        for cell in named:
            cell.aim = aim
        return is_hit

    def _revoke(self, names: Iterable[str]) -> None:
        self._revoked.update(dict.fromkeys(names, True))
        while len(self._revoked) > MAX_REVOKED:
            self._revoked.popitem(last=False)

    def are_kept_waiting(self, aim: Aim) -> bool:
        """Return whether cells that have an interrupt to come wait for something that is no cell."""
        is_kept = any(cell.aim is aim and not cell.is_idle for cell in self._open)
        return is_kept and self.running is None

    def note_hit(self, hit: Cell) -> None:
        """Note that a cell is interrupted: an interrupt whose front end waits for its cells hits only one of them."""
        if hit.aim is None or hit.is_unwanted:
            return
        spent = hit.aim
        for cell in self._open:
            if cell.aim is spent:
                cell.aim = None
