"""Probes of our own of the kernel in the pod; its replies to them are for no front end."""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from remote_kernel.client.link.link import Link
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_parent, parse_reply
from remote_kernel.core.wire.frames import Channel, Message

# Somebody waits for it in a cell; a kernel that is free answers within a round trip.
PATIENCE_SECONDS = 2.0

_HAS_MAGIC = "{name} in __import__('IPython').get_ipython().magics_manager.magics['line']"


@dataclass(slots=True)
class PodQuery:
    """One that is open: a reply and the word "idle" are to come, in either order."""

    reply: "asyncio.Future[bytes]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    is_idle: bool = False


class PodQueries:
    """Asks, and tells the answers from what is meant for front ends.

    Attributes:
        magics: names that the kernel in the pod was found to have magics of.
    """

    def __init__(self) -> None:
        self.magics: set[str] = set()
        self._author = Author(secrets.token_hex(16))
        self._open: dict[str, PodQuery] = {}

    async def has_magic(self, link: Link | None, name: str) -> bool:
        """Return whether the kernel in the pod has a line magic of this name, as far as it tells in time."""
        if link is None or not link.is_attached:
            return False
        expressions = {"has": _HAS_MAGIC.format(name=repr(name))}
        content = {"code": "", "silent": True, "store_history": False, "stop_on_error": False, "allow_stdin": False}
        parts = self._author.write(
            "execute_request", {**content, "user_expressions": expressions}, date=datetime.now(UTC)
        )
        question = self._open[parse_header(parts[0]).msg_id] = PodQuery()
        link.send(Message(channel=Channel.SHELL, parts=parts))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                has = _is_true(await question.reply)
        except TimeoutError:
            return name in self.magics  # it is busy with something, and no news is no answer
        (self.magics.add if has else self.magics.discard)(name)
        return has

    def takes(self, message: Message) -> bool:
        """Note what the pod says to one of our questions; whether it is that."""
        if not self._open:
            return False
        msg_id = parse_parent(message.parts[1]).msg_id
        question = self._open.get(msg_id)
        if question is None:
            return False
        if message.channel is Channel.IOPUB:
            question.is_idle |= b'"idle"' in message.parts[3]
        elif not question.reply.done():
            question.reply.set_result(message.parts[3])
        if question.is_idle and question.reply.done():
            del self._open[msg_id]
        return True

    def forget(self) -> None:
        """Expect no answers any more, as the kernel that was asked is gone."""
        for question in self._open.values():
            if not question.reply.done():
                question.reply.set_result(b"{}")
        self._open.clear()
        self.magics.clear()


def _is_true(reply: bytes) -> bool:
    value: object = parse_reply(reply)
    for name in ("user_expressions", "has", "data", "text/plain"):
        value = value.get(name) if isinstance(value, dict) else None
    return value == "True"
