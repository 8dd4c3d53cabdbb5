"""Ends of cells that wait for what is done here: files that come back, a hint below a traceback."""

from math import inf

from remote_kernel.core.jupyter.parts import copied
from remote_kernel.kernel.requests.effects import Effect, Forward, Publish
from remote_kernel.kernel.requests.request import Request

# The session says as soon as a cell has ended which files it has changed; who hears nothing for so long waits no more.
SAID_SECONDS = 60.0


class WithheldEnds:
    """Replies and "idle" of cells that have ended in the session, in order.

    Attributes:
        deadline: when to call `wake`; infinite for never.
    """

    def __init__(self) -> None:
        self._effects: dict[Request, list[Effect]] = {}
        self._waits_until: dict[Request, float] = {}
        self.deadline = inf

    def _set_deadline(self) -> None:
        self.deadline = min(self._waits_until.values(), default=inf)

    def hold(self, request: Request) -> None:
        """Withhold the end of a cell from now on."""
        request.is_withheld = True
        self._effects.setdefault(request, [])

    def add(self, request: Request, effect: Forward | Publish, now: float) -> None:
        """Keep what a front end is to be told of the end of a cell."""
        self._effects[request].append(effect._replace(parts=copied(effect.parts)))
        self._waits_until[request] = now + SAID_SECONDS
        self._set_deadline()

    def wait(self, msg_id: str) -> None:
        """Wait for as long as it takes: what the cell waits for is being done."""
        if (request := self.find(msg_id)) is not None:
            self._waits_until.pop(request, None)
            self._set_deadline()

    def find(self, msg_id: str) -> Request | None:
        """Return the cell of this id whose end is withheld."""
        return next((request for request in self._effects if request.info.msg_id == msg_id), None)

    def wake(self, now: float) -> list[Effect]:
        """Tell of those of which nothing was heard for too long."""
        late = [request for request, time in self._waits_until.items() if time <= now]
        return [effect for request in late for effect in self.let_go(request)]

    def release_all(self) -> list[Effect]:
        """Tell of all: what they wait for cannot be done any more."""
        return [effect for request in list(self._effects) for effect in self.let_go(request)]

    def let_go(self, request: Request) -> list[Effect]:
        """Tell of one cell, if anything of it is withheld."""
        request.is_withheld = False
        if self._waits_until.pop(request, None) is not None:
            self._set_deadline()
        return self._effects.pop(request, [])
