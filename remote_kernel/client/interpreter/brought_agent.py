"""The agent beside a pod's built-in interpreter: started there, and handed exchanges, each by one execution."""

import asyncio
import base64
import secrets
from http import HTTPStatus

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.executions import Executions
from remote_kernel.client.interpreter.injection import Injection, Module
from remote_kernel.core.errors import NoAgent, PoolRefused, WireError
from remote_kernel.core.interpreter_api.versions import MAX_UPLOAD_BYTES
from remote_kernel.core.numbers import REMARK
from remote_kernel.core.wire import batches as exchange
from remote_kernel.core.wire.batches import Exchange

# In the pod's temporary folder. Agents of other versions are other agents: what they know is lost to us, and a kernel
# that comes back to one is told so.
AGENT_FOLDER = f"remote-kernel-{exchange.VERSION}"

# The oldest Python that runs the agent.
AGENT_PYTHON = (3, 11)

# What is larger goes as a file: as code it would have to fit into one request for an execution.
MAX_INLINE_BYTES = 128 * 1024

# An exchange takes no longer than that, on a slow pod; starting the agent may.
EXCHANGE_SECONDS = 20.0
START_SECONDS = 60.0


class TooMuch(PoolRefused):
    """A request body that is larger than the pool takes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="TooLarge")


class BroughtAgent:
    """The agent in the pod of the client's identifier."""

    def __init__(self, pool: PoolClient) -> None:
        self._executions = Executions(pool)
        # Files that perhaps nobody has read: their executions have given no answer.
        self._unread: list[str] = []

    async def carry(self, asked: Exchange) -> bytes | None:
        """Hand on an exchange and return the packed pieces of the answers; `None` when there is no agent.

        Raises:
            TooMuch: nothing was handed on.
            PoolError: as `Executions.run`; the answers may be lost.
            WireError: they came as something else.
        """
        packed = await asyncio.to_thread(asked.pack) if asked.content_bytes > MAX_INLINE_BYTES else asked.pack()
        unread = list(self._unread)
        argument: dict[str, object] = {"folder": AGENT_FOLDER, "seconds": EXCHANGE_SECONDS, "unread": unread}
        if len(packed) > MAX_INLINE_BYTES:
            name = argument["file"] = f".rk-{secrets.token_hex(8)}"
            self._unread.append(name)
            await self._upload(name, packed)
        else:
            argument["exchange"] = base64.b64encode(packed).decode()
        answer = await self._executions.run(
            lambda max_chars: Injection.make(Module.EXCHANGE, {**argument, "max_chars": max_chars}),
            seconds=EXCHANGE_SECONDS,
        )
        self._unread.clear()
        return None if answer == "absent" else _decode_base64(answer)

    async def _upload(self, name: str, packed: bytes) -> None:
        try:
            await self._executions.upload(name, packed)
        except PoolRefused as error:
            if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise
            limit = MAX_UPLOAD_BYTES // 2**20
            raise TooMuch(f"A message to a session of this pool may have {limit} MB, and this one has more.") from None

    async def start(self) -> None:
        """Start the agent, unless it has been started meanwhile; raises `NoAgent`."""
        from remote_kernel.client.interpreter.agent_archive import agent_archive  # late: most kernels start without it

        archive = base64.b64encode(agent_archive()).decode()
        argument = {"folder": AGENT_FOLDER, "python": AGENT_PYTHON, "seconds": START_SECONDS, "archive": archive}
        answer = await self._executions.run(
            lambda _max_chars: Injection.make(Module.START, argument), seconds=START_SECONDS + EXCHANGE_SECONDS
        )
        word, _, reason = answer.partition(" ")
        if word != "started":
            raise NoAgent(REMARK.check(_decode_base64(reason).decode(errors="replace"), "a reason"))


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise WireError("an answer that is not base64") from error
