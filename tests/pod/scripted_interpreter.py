"""An interpreter that says what a test wants, when it wants it: the sockets of a kernel's connection file, which the
test serves itself, and a process beside them that does nothing."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from remote_kernel.core.jupyter.messages import Author, Signer, parse_header
from remote_kernel.core.wire.frames import Channel
from tests.driver import TIMEOUT_SECONDS, wait_until

KERNELSPEC = "scripted"

KERNEL_INFO: dict[str, object] = {"status": "ok", "protocol_version": "5.4", "language_info": {"name": "python"}}

_SOCKET_TYPES = {
    Channel.SHELL: zmq.ROUTER, Channel.CONTROL: zmq.ROUTER, Channel.STDIN: zmq.ROUTER, Channel.IOPUB: zmq.XPUB,
}  # fmt: skip


def install(folder: Path) -> dict[str, str]:
    """Put the kernelspec into a folder; return the variables with which an agent finds it."""
    spec = {"argv": ["sleep", "600"], "display_name": "Scripted", "language": "python", "interrupt_mode": "signal"}
    spec_folder = folder / "kernels" / KERNELSPEC
    spec_folder.mkdir(parents=True)
    (spec_folder / "kernel.json").write_text(json.dumps(spec))
    return {"JUPYTER_PATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))}


@dataclass
class ScriptedInterpreter:
    """Its end of the channels."""

    _sockets: "dict[Channel, zmq.Socket[bytes]]"
    _author: Author = field(default_factory=lambda: Author("scripted"))
    _signer: Signer = field(default_factory=lambda: Signer(b""))
    _identity: bytes = b""

    @classmethod
    @contextmanager
    def serve(cls, folder: Path) -> Iterator["ScriptedInterpreter"]:
        """Listen where the connection file says that an agent writes into a folder, until the end of the block."""
        wait_until(lambda: any(_connection_files(folder)))
        (connection,) = _connection_files(folder)
        with zmq.Context() as context, ExitStack() as stack:
            sockets = {}
            for channel, socket_type in _SOCKET_TYPES.items():
                socket = sockets[channel] = stack.enter_context(context.socket(socket_type))
                socket.linger = 0
                socket.bind(f"ipc://{connection['ip']}-{connection[f'{channel.name.lower()}_port']}")
            yield cls(sockets)

    def take(self, channel: Channel = Channel.SHELL) -> tuple[bytes, ...]:
        """Return the next request."""
        socket = self._sockets[channel]
        assert socket.poll(int(TIMEOUT_SECONDS * 1000)), "no request has come"
        (self._identity,), parts = self._signer.from_zmq(socket.recv_multipart())
        return parts

    def wait_heard(self) -> None:
        """Return when somebody listens on iopub, who has not been waited for before."""
        assert self._sockets[Channel.IOPUB].poll(int(TIMEOUT_SECONDS * 1000)), "nobody listens"
        self._sockets[Channel.IOPUB].recv()

    def say(self, parent: bytes, *said: tuple[Channel, str, dict[str, object]]) -> None:
        """Say something of a request, one message after the other."""
        for channel, msg_type, content in said:
            parts = self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC))
            prefixes = [msg_type.encode()] if channel is Channel.IOPUB else [self._identity]
            self._sockets[channel].send_multipart(self._signer.to_zmq(parts, prefixes))

    def answer_while(self, is_asked: Callable[[], bool]) -> None:
        """Answer requests as a kernel does for which they are nothing, for so long."""
        while is_asked():
            if self._sockets[Channel.SHELL].poll(20):
                self._answer(self.take())

    def _answer(self, parts: Sequence[bytes]) -> None:
        msg_type = parse_header(parts[0]).msg_type
        ok: dict[str, object] = {"status": "ok", "execution_count": 1}
        reply = KERNEL_INFO if msg_type == "kernel_info_request" else ok
        self.say(
            parts[0],
            (Channel.IOPUB, "status", {"execution_state": "busy"}),
            (Channel.SHELL, msg_type.replace("_request", "_reply"), reply),
            (Channel.IOPUB, "status", {"execution_state": "idle"}),
        )


def _connection_files(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what is in the connection files that are there, whole."""
    for path in folder.glob("*.json"):
        try:
            yield json.loads(path.read_text())
        except ValueError:
            continue
