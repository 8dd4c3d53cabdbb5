"""The front end's side: five ZeroMQ sockets as a connection file describes them."""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import zmq

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import Author, Signer, with_version
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.tasks import go_on, is_cancelled
from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.iopub_queue import TOPIC, IopubQueue
from remote_kernel.kernel.frontend.prompts import Prompts
from remote_kernel.kernel.frontend.sockets import Sockets
from remote_kernel.kernel.frontend.timings import Timings

_log = logging.getLogger(__name__)

DEFAULT_TIMINGS = Timings()

# Sockets of front ends that were connected to a kernel before us come back within a tenth of a second of each other.
GATHERING_SECONDS = 0.25

Handle = Callable[[Channel, list[bytes], tuple[bytes, ...]], Awaitable[None]]


class Channels:
    """The bound sockets, and the messages that we author ourselves on them; make it where the event loop runs."""

    def __init__(self, connection: Connection, sockets: Sockets, timings: Timings = DEFAULT_TIMINGS) -> None:
        self._connection = connection
        self._signer = Signer(connection.key, connection.hash_name)
        self._author = Author(secrets.token_hex(16))
        self._bound = sockets
        self._sockets = {Channel[name.upper()]: ZmqSocket(each) for name, each in sockets.by_channel.items()}
        for each in sockets.by_channel.values():
            # Long enough for the last replies, short enough to go when the front end is gone.
            each.linger = 500
        self._iopub_queue = IopubQueue(self._sockets[Channel.IOPUB], self._write_welcome, timings)
        self._prompts = Prompts(self._sockets[Channel.STDIN], timings.prompt_seconds)
        self._refused = Tally()
        self._start_heartbeat()

    def _start_heartbeat(self) -> None:
        """Echo in a thread of its own, in C: it answers whatever the event loop does."""
        socket = self._bound.heartbeat
        socket.linger = 0
        loop = asyncio.get_running_loop()
        self._heartbeat_end = ended = loop.create_future()

        def echo() -> None:
            try:
                zmq.proxy(socket, socket)
            except zmq.ContextTerminated:
                pass
            except zmq.ZMQError as error:
                with contextlib.suppress(RuntimeError):  # the loop may be closed already
                    loop.call_soon_threadsafe(ended.set_exception, error)
            finally:
                socket.close()  # `close` would wait for it

        threading.Thread(target=echo, daemon=True, name="heartbeat").start()

    @property
    def ports(self) -> dict[str, int]:
        """The ports, as a `connect_reply` names them."""
        return {f"{name}_port": port for name, port in self._connection.ports.items()}

    async def serve(self, handle: Handle) -> None:
        """Hand each message of a front end to `handle`, in order on each channel, until cancelled.

        A message that cannot be handled costs that message. Whatever else goes wrong is raised: of a kernel that has
        ended a front end takes notice, and not of one that is deaf on a channel.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(self._iopub_queue.serve()))
            tasks.create_task(go_on(self._prompts.serve()))
            tasks.create_task(go_on(self._wait_heartbeat_end()))
            for channel in (Channel.SHELL, Channel.CONTROL, Channel.STDIN):
                tasks.create_task(go_on(self._receive(channel, handle)))

    async def _wait_heartbeat_end(self) -> None:
        await self._heartbeat_end

    async def _receive(self, channel: Channel, handle: Handle) -> None:
        socket = self._sockets[channel]
        while True:
            frames = await socket.receive()
            try:
                prefixes, parts = self._signer.from_zmq(frames)
                del frames
                await handle(channel, prefixes, with_version(parts))
                del parts  # the next message may be long in coming, and this one large
            except WireError as error:  # not from our front end, or not a message: there is nobody to tell
                if self._refused.add():
                    reason = str(error)
                    _log.warning(
                        LogEvent(
                            "message refused", channel=channel.name.lower(), reason=reason, count=self._refused.count
                        )
                    )
                await asyncio.sleep(0)  # others have a turn, however many of these come
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                _log.error(LogEvent("failed inside"), exc_info=True)
            except Exception:
                _log.error(LogEvent("failed inside"), exc_info=True)

    def _write_welcome(self, topic: bytes) -> list[bytes]:
        content = {"subscription": topic.decode()}
        parts = self._author.write("iopub_welcome", content, date=datetime.now(UTC))
        return self._signer.to_zmq(parts, [topic])

    def admit(self) -> None:
        """Let those hear what is published from now on who have subscribed by now; `serve` does so all the time."""
        self._iopub_queue.admit()

    async def wait_heard(self, patience_seconds: float) -> None:
        """Return when front ends listen on iopub, or nobody has come for so long.

        What is published before is heard by nobody: sockets of front ends that were connected to the process before us
        need a moment to come back.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._iopub_queue.is_heard.wait()
            await asyncio.sleep(GATHERING_SECONDS)

    def send(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to the front end that `prefixes` names; none, where nobody has asked."""
        if not prefixes:
            return
        frames = self._signer.to_zmq(parts, prefixes)
        if channel is Channel.STDIN:
            self._prompts.send(frames)
        else:
            self._sockets[channel].send(frames)

    @property
    def has_room(self) -> bool:
        """Return whether `room` returns at once."""
        return self._iopub_queue.has_room

    async def room(self) -> None:
        """Return when the front ends have taken enough of what was published for more to come."""
        await self._iopub_queue.room()

    def publish(self, parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to every front end; who has many of them waits for `room` before each."""
        self._iopub_queue.put(self._signer.to_zmq(parts, [TOPIC]))

    def reply(
        self, channel: Channel, prefixes: list[bytes], msg_type: str, content: Mapping[str, Any], parent: bytes
    ) -> None:
        """Answer a request ourselves; `parent` is its header part."""
        self.send(channel, prefixes, self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def say(self, msg_type: str, content: Mapping[str, Any], parent: bytes = b"{}") -> None:
        """Publish a message of our own on iopub."""
        self.publish(self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def close(self) -> None:
        """Close the sockets after their last messages have gone, or half a second."""
        self._iopub_queue.close()
        for socket in self._sockets.values():
            socket.close()
        self._bound.context.term()
        self._bound.heartbeat_context.term()
