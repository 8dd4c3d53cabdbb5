"""The files of an agent in this process: what it answers, without a pod and a network, to try thousands of cases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from remote_kernel.client.routes.route import Body
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import LISTING, REFUSAL
from remote_kernel.pod.api.calls import Call
from remote_kernel.pod.api.files import Files
from remote_kernel.pod.api.refusals import answer
from remote_kernel.pod.files.data_folder import DataFolder


class _Bytes:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body


class PodFolder:
    """Route to the files of an agent.

    Args:
        root: the data folder.

    Attributes:
        before, after: called with the path of each request before and after it is worked on, and may raise.
        between: called as `before` is, and may do requests of its own.
        requests: the paths that were asked for.
    """

    def __init__(self, root: Path, *, name: str = "pod-1", piece_bytes: int = 1_000_000) -> None:
        root.mkdir(exist_ok=True)
        self.stale_seconds = None
        self.piece_bytes = piece_bytes
        self.should_compress = False
        self.before: Callable[[str], None] = lambda _path: None
        self.after: Callable[[str], None] = lambda _path: None
        self.between: Callable[[str], Awaitable[None]] | None = None
        self.requests: list[str] = []
        self.root = root
        self.rename(name)

    def rename(self, name: str) -> None:
        """Be another pod."""
        self._files = Files(DataFolder(self.root), name)

    async def _answer(self, method: str, path: str, params: Mapping[str, str] | None, content: bytes) -> bytes:
        self.requests.append(path)
        if self.between is not None:
            await self.between(path)
        self.before(path)

        async def read_body() -> bytes:
            return content

        given = await answer(self._files.handlers[method, path], Call(params or {}, read_body))
        self.after(path)
        assert isinstance(given.body, bytes)
        if given.status >= HTTPStatus.BAD_REQUEST:
            error = parse_json_object(given.body, REFUSAL)["error"]
            raise PoolRefused(error["message"], status=given.status, code=error["code"])
        return given.body

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        return parse_json_object(await self._answer(method, path, params, content), LISTING)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator[Body]:  # fmt: skip
        yield _Bytes(await self._answer(method, path, params, content))

    def drop_idle(self) -> None:
        """Have nothing to close."""

    async def aclose(self) -> None:
        """Have nothing to close."""
