"""How much the agent does for one cell, counted: what time it takes depends on what else the machine does."""

import http.client
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Channel
from tests.counting import cost_of_one, counting
from tests.driver import TIMEOUT_SECONDS
from tests.pod.scripted_interpreter import KERNELSPEC, ScriptedInterpreter, install

CELLS = 60

# Of the event loop, for a cell whose interpreter says that it has begun and, at once, what it does, and that it has
# ended on two channels: the turns in which the request comes, is passed on, and in which these are heard and told. One
# more where what was said at once comes apart.
MAX_TURNS = 6
# The request; what comes from the interpreter is ZeroMQ's.
MAX_READS = 1
# The answer to the request, and two pieces of the events.
MAX_WRITES = 3
MAX_SENT = 1
# For four messages, and for each time that there is no other.
MAX_LOOKS = 8
# The request's.
MAX_TASKS = 1
# Of functions in Python and C: 900 with CPython 3.11, and some more where what was said at once comes apart.
MAX_CALLS = 1_000

TARGET = {"kernel": "main", "kernelspec": KERNELSPEC, "reader": "counted", "identifier": "counted"}


class LocalKernel:
    """A local kernel's end of the wire: it sends messages, and follows what the pod says.

    Args:
        address: the agent's socket.
    """

    def __init__(self, address: Path) -> None:
        self._up, self._down = _connect(address), _connect(address)
        self._down.sendall(_request("GET", wire.EVENTS_PATH, TARGET))
        self._events = http.client.HTTPResponse(self._down)
        self._events.begin()
        self._decoder = codec.FrameDecoder()
        self._frames: list[wire.Frame] = []
        (hello,) = self._decoder.feed(self._events.read1())
        assert isinstance(hello, wire.Hello)
        self._params = {**TARGET, "epoch": hello.epoch, "sender": "counted"}
        self._count = 0

    def send(self, parts: tuple[bytes, ...]) -> None:
        """Send a message to the shell channel."""
        self._count += 1
        body = codec.encode(wire.Message(Channel.SHELL, parts, sequence=self._count))
        self._up.sendall(_request("POST", wire.MESSAGES_PATH, self._params, body))

    def read_answer(self) -> None:
        """Return when what was sent is accepted."""
        answer = http.client.HTTPResponse(self._up)
        answer.begin()
        assert answer.read().startswith(b'{"accepted":1')

    def hear(self, count: int) -> None:
        """Return when the kernel has said so many messages more."""
        while count > 0:
            frames = self._decoder.feed(self._events.read1())
            count -= sum(isinstance(frame, wire.Message) for frame in frames)
        assert count == 0

    def close(self) -> None:
        self._events.close()
        self._up.close()
        self._down.close()


def _connect(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_SECONDS)
    connection.connect(str(address))
    return connection


def _request(method: str, path: str, params: dict[str, str], body: bytes = b"") -> bytes:
    fields = f"host: pod\r\nuser-agent: counted\r\naccept-encoding: identity\r\ncontent-length: {len(body)}"
    return f"{method} {path}?{urlencode(params)} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body


@contextmanager
def serving(folder: Path, counts: Path) -> Iterator[tuple[ScriptedInterpreter, Path]]:
    """Run an agent that counts; give its interpreter, and its socket."""
    scratch, address = folder / "s", folder / "a"
    command = counting(counts, "Cells.add", "remote_kernel.pod")
    command += ["--supervised", "--uds", str(address), "--kernel", KERNELSPEC]
    command += ["--scratch", str(scratch), "--data", str(folder / "data")]
    environ = {**os.environ, **install(folder)}
    with (
        subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ScriptedInterpreter.serve(scratch) as interpreter,
    ):
        assert process.stdout is not None
        said = process.stdout.fileno()
        interpreter.answer_while(lambda: not select.select([said], [], [], 0)[0])  # until it is ready
        yield interpreter, address
        process.communicate(timeout=TIMEOUT_SECONDS)


def run_cell(kernel: LocalKernel, interpreter: ScriptedInterpreter, author: Author) -> None:
    """Go on only when what was said has come, so that there is one way in which it can go."""
    content = {"code": "pass", "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    kernel.send(author.write("execute_request", content, date=datetime.now(UTC)))
    request = interpreter.take()[0]
    interpreter.say(
        request,
        (Channel.IOPUB, "status", {"execution_state": "busy"}),
        (Channel.IOPUB, "execute_input", {"code": "pass", "execution_count": 1}),
    )
    kernel.hear(2)
    kernel.read_answer()
    interpreter.say(
        request,
        (Channel.SHELL, "execute_reply", {"status": "ok", "execution_count": 1}),
        (Channel.IOPUB, "status", {"execution_state": "idle"}),
    )
    kernel.hear(2)


@pytest.fixture(scope="module")
def of_a_cell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("c")
    counts = folder / "counts.json"
    with serving(folder, counts) as (interpreter, address):
        kernel, author = LocalKernel(address), Author("counted")
        for _ in range(CELLS):
            run_cell(kernel, interpreter, author)
        kernel.close()
    return cost_of_one(counts)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("turns", MAX_TURNS),
        ("reads", MAX_READS),
        ("writes", MAX_WRITES),
        ("ZeroMQ sent", MAX_SENT),
        ("ZeroMQ looked", MAX_LOOKS),
        ("tasks", MAX_TASKS),
        ("calls", MAX_CALLS),
    ],
)
def test_a_cell_takes_no_more_than_it_must(of_a_cell: dict[str, float], name: str, most: float) -> None:
    assert of_a_cell[name] <= most, of_a_cell
