"""Code of the agent's own, without an interpreter."""

import asyncio
from collections.abc import Mapping

import pytest

from remote_kernel.core.jupyter.messages import Author, parse_object
from remote_kernel.core.wire.frames import Channel
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreters.silent_code import SilentCode

pytestmark = pytest.mark.anyio


class Interpreter:
    """An interpreter that answers when it is told to."""

    def __init__(self) -> None:
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.sent: list[tuple[bytes, ...]] = []
        self.is_interrupted = False
        self.ends_when_interrupted = False
        self.first = SilentCode(
            lambda _channel, parts: self.sent.append(parts), Author("agent"), self.exited,
            patience_seconds=0.05, ending_seconds=0.05,
        )  # fmt: skip

    def say(self, channel: Channel, msg_type: str, content: Mapping[str, object], parent: bytes = b"") -> None:
        parts = Author("kernel").write(msg_type, content, parent=parent or self.sent[-1][0], date=utc_now())
        self.first.receive(channel, parts)

    def end(self) -> None:
        self.say(Channel.SHELL, "execute_reply", {"status": "ok"})
        self.say(Channel.IOPUB, "status", {"execution_state": "idle"})

    async def interrupt(self) -> None:
        self.is_interrupted = True
        if self.ends_when_interrupted:
            self.end()


async def test_it_has_ended_when_nothing_more_comes_of_it() -> None:
    interpreter = Interpreter()
    running = asyncio.create_task(interpreter.first.run("x", interrupt=interpreter.interrupt))
    await asyncio.sleep(0)
    content = parse_object(interpreter.sent[0][3])
    assert (content["code"], content["silent"], content["allow_stdin"]) == ("x", True, False)
    other = Author("other").write("execute_request", {}, date=utc_now())[0]
    interpreter.say(Channel.SHELL, "execute_reply", {"status": "error"}, parent=other)
    interpreter.say(Channel.SHELL, "execute_reply", {"status": "ok"})
    await asyncio.sleep(0)
    assert not running.done()
    interpreter.say(Channel.IOPUB, "status", {"execution_state": "idle"})
    assert await running == {"status": "ok"}
    assert not interpreter.is_interrupted


@pytest.mark.parametrize("ends", [True, False])
async def test_what_takes_too_long_is_interrupted(ends: bool) -> None:
    interpreter = Interpreter()
    interpreter.ends_when_interrupted = ends
    reply = await interpreter.first.run("while True: pass", interrupt=interpreter.interrupt)
    assert interpreter.is_interrupted
    assert (reply is not None) == ends


async def test_end_of_the_process_is_the_end_of_it() -> None:
    interpreter = Interpreter()
    interpreter.exited.set_result("exit status 3")
    assert await interpreter.first.run("x", interrupt=interpreter.interrupt) is None
    assert not interpreter.is_interrupted
