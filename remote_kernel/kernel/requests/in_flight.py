"""The front end's requests that have no reply yet."""

from collections.abc import Callable, Iterator

from remote_kernel.kernel.requests.request import Request


class InFlightRequests:
    """Requests that the session owes a reply, oldest first.

    Args:
        changed: is told whether the session runs something, whenever that may have changed.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._requests: dict[str, Request] = {}
        self._is_left_busy = False
        self._ending: Request | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests.values()))

    def find(self, msg_id: str) -> Request | None:
        """Return the request with this id, if it is open."""
        return self._requests.get(msg_id)

    def add(self, request: Request) -> None:
        """Note that a request is open."""
        self._requests[request.info.msg_id] = request
        self.tell()

    def close(self, msg_id: str) -> Request | None:
        """Note that a request has its reply, and return it; `None` where no such request is open."""
        request = self._requests.pop(msg_id, None)
        if request is not None and request.is_cell and request.has_begun:
            self._ending = None if request.has_said_all else request
        self.tell()
        return request

    def note_idle(self, msg_id: str) -> None:
        """Note that nothing more is said about a request; its reply may come before or after this."""
        if (request := self.find(msg_id)) is not None:
            request.has_said_all = True
        elif self._ending is not None and self._ending.info.msg_id == msg_id:
            self._ending = None

    def close_all(self) -> list[Request]:
        """Return every request, none of which is open any more."""
        requests = list(self)
        self._requests.clear()
        self._ending = None
        self.tell()
        return requests

    @property
    def is_executing(self) -> bool:
        """Return whether any of them runs code."""
        return any(request.is_execute for request in self)

    @property
    def has_begun(self) -> bool:
        """Return whether the session works on any that runs code."""
        return any(request.is_execute and request.has_begun for request in self)

    @property
    def executing(self) -> list[str]:
        """The message ids of those that run code."""
        return [request.info.msg_id for request in self if request.is_execute]

    @property
    def first_cell(self) -> Request | None:
        """The oldest cell."""
        return next((request for request in self if request.is_cell), None)

    @property
    def begun_cell(self) -> Request | None:
        """The oldest cell that the session works on, or the last one, whose reply has overtaken what it said."""
        return next((request for request in self if request.is_cell and request.has_begun), self._ending)

    @property
    def is_left_busy(self) -> bool:
        """Return whether the session runs something that nobody here waits for."""
        return self._is_left_busy

    @is_left_busy.setter
    def is_left_busy(self, is_left_busy: bool) -> None:
        self._is_left_busy = is_left_busy
        self.tell()

    def tell(self) -> None:
        """Tell whether the session runs something."""
        self._changed(self.is_executing or self._is_left_busy)
