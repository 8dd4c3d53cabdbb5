"""The front end's requests that have no reply yet."""

from collections.abc import Callable, Iterator

from remote_kernel.kernel.requests import Request


class OpenRequests:
    """Requests that the session owes a reply, oldest first.

    Args:
        changed: is told whether the session runs something, whenever that may have changed.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._requests: dict[str, Request] = {}
        self._is_left_busy = False

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
        self.tell()
        return request

    def close_all(self) -> list[Request]:
        """Return every request, none of which is open any more."""
        requests = list(self)
        self._requests.clear()
        self.tell()
        return requests

    @property
    def is_executing(self) -> bool:
        """Whether any of them runs code."""
        return any(request.is_execute for request in self)

    @property
    def first_cell(self) -> Request | None:
        """The oldest cell."""
        return next((request for request in self if request.is_cell), None)

    @property
    def begun_cell(self) -> Request | None:
        """The oldest cell that the session works on."""
        return next((request for request in self if request.is_cell and request.has_begun), None)

    @property
    def is_left_busy(self) -> bool:
        """Whether the session runs something that nobody here waits for."""
        return self._is_left_busy

    @is_left_busy.setter
    def is_left_busy(self, is_left_busy: bool) -> None:
        self._is_left_busy = is_left_busy
        self.tell()

    def tell(self) -> None:
        """Tell whether the session runs something."""
        self._changed(self.is_executing or self._is_left_busy)
