"""Question in a cell that is answered here, asked as `input` asks: on the stdin channel, of who sent the cell."""

import asyncio

from remote_kernel.core.wire.frames import Channel
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.requests.request import Request

# Who is asked for yes or no writes less.
MAX_CHARS = 1000


class Question:
    """Asks one question at a time."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._answer: asyncio.Future[str] | None = None

    async def ask(self, request: Request, prompt: str) -> str | None:
        """Return what the user writes below a cell; `None` where its front end allows no input."""
        if request.content.get("allow_stdin") is not True:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        content = {"prompt": prompt, "password": False}
        try:
            self._channels.reply(Channel.STDIN, request.prefixes, "input_request", content, request.header)
            return await self._answer
        finally:
            self._answer = None

    def takes(self, reply: Request) -> bool:
        """Take an `input_reply`, if it is the answer that is waited for; whether it is."""
        if self._answer is None or self._answer.done():
            return False
        value = reply.content.get("value")
        self._answer.set_result(value[:MAX_CHARS] if isinstance(value, str) else "")
        return True
