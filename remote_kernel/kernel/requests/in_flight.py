"""The requests that are under way: those without a reply, and those of which the pod has more to say."""

from collections import deque
from collections.abc import Iterator

from remote_kernel.core.jupyter.messages import parse_date, parse_header
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.requests.effects import Send
from remote_kernel.kernel.requests.request import OPEN, POLLS, Event, Origin, Request, State

# Of so many that have a reply the rest is expected: idle follows a reply, except where it was left running.
MAX_LINGERING = 1000

Key = tuple[str, str]


class InFlightRequests:
    """Requests by type and id, of which several may be alike, and those of front ends without a reply, oldest first."""

    def __init__(self) -> None:
        self._by_key: dict[Key, list[Request]] = {}
        self._open: dict[Request, None] = {}
        self._executing: dict[Request, None] = {}  # those of them that run code
        self._lingering: deque[Request] = deque()
        self._last_replied: Request | None = None

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._open))

    def __contains__(self, request: Request) -> bool:
        return request in self._open

    def add(self, request: Request) -> None:
        """Note that a request is under way."""
        self._by_key.setdefault(request.info.key, []).append(request)
        if request.origin is Origin.FRONT_END:
            self._open[request] = None
            if request.is_execute:
                self._executing[request] = None
        else:
            self._linger(request)

    def send(self, request: Request) -> Send:
        """Note that a message goes to the session; it is a request where a reply is expected."""
        request.move(Event.IS_SENT)
        if request.expects_reply and request not in self._open:
            self.add(request)
        return Send(request.take_message(), is_use=request.info.msg_type not in POLLS)

    def of(self, key: Key) -> list[Request]:
        """Return the requests of this type and id, oldest first."""
        return self._by_key.get(key, [])

    def find(self, key: Key) -> Request | None:
        """Return the oldest of these without a reply."""
        return next((request for request in self._by_key.get(key, ()) if request in self._open), None)

    def find_sent(self, message: Message) -> Request | None:
        """Return the request that a message was sent for; `None` where it is none, or has had all."""
        alike = self._by_key.get(parse_header(message.parts[0]).key, ())
        for request in alike:
            if request.header == message.parts[0] or request.origin is Origin.PROBE:
                return request
        return None

    def move(self, key: Key, event: Event, parent: bytes) -> Request | None:
        """Have the request go on that an event is about: of several that are alike the one with the date of its parent
        header, else the oldest that it can be about. Return it."""
        alike = self._by_key.get(key, [])
        if len(alike) > 1 and (date := parse_date(parent)):
            alike = sorted(alike, key=lambda request: parse_date(request.header) != date)
        for request in alike:
            if request.move(event):
                self._note_move(request)
                return request
        return None

    def end(self, request: Request, event: Event = Event.ENDS) -> None:
        """Note that a request has, or gets, a reply of ours."""
        request.move(event)
        self._note_move(request)

    def _note_move(self, request: Request) -> None:
        if request.state not in OPEN and request in self._open:
            del self._open[request]
            self._executing.pop(request, None)
            if request.state is not State.DONE:
                self._linger(request)
            if request.is_cell:
                self._last_replied = request
        if request.state is State.DONE:
            self._forget(request)

    def _linger(self, request: Request) -> None:
        self._lingering.append(request)
        while len(self._lingering) > MAX_LINGERING:
            self._forget(self._lingering.popleft())

    def _forget(self, request: Request) -> None:
        alike = self._by_key.get(request.info.key, [])
        if request in alike:
            alike.remove(request)
            if not alike:
                del self._by_key[request.info.key]

    def drop_lingering(self) -> list[Request]:
        """Expect nothing more of requests that have a reply; return those whose front ends wait for "idle"."""
        lingering, self._lingering = self._lingering, deque()
        waiting = [request for request in lingering if request.state in {State.REPLIED, State.OVERTAKEN}]
        for request in lingering:
            self.end(request)
        return [request for request in waiting if request.origin is Origin.FRONT_END]

    @property
    def is_executing(self) -> bool:
        """Return whether any of them runs code."""
        return bool(self._executing)

    @property
    def has_begun(self) -> bool:
        """Return whether the session works on any that runs code."""
        return any(request.has_begun for request in self._executing)

    @property
    def executing(self) -> list[str]:
        """The message ids of those that run code."""
        return [request.info.msg_id for request in self._executing]

    @property
    def first_cell(self) -> Request | None:
        """The oldest cell."""
        return next((request for request in self._executing if request.is_cell), None)

    @property
    def begun_cell(self) -> Request | None:
        """The oldest cell that the session works on, or the last one, whose reply has overtaken what it said."""
        running = next((request for request in self._executing if request.is_cell and request.has_begun), None)
        last = self._last_replied
        return running or (last if last is not None and last.state is State.REPLIED else None)
