"""What a front end is told, whatever order the session's channels come in."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file

from remote_kernel.client.link.events import Dropped, FilesChanged, Received
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire.frames import Channel, Files, Gap, Message
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.frontend.sockets import Sockets
from remote_kernel.kernel.relay import Relay
from remote_kernel.kernel.requests.table import MAX_WAITING_BYTES
from remote_kernel.kernel.session.session import Session

pytestmark = pytest.mark.anyio


class Pod:
    """Says what the session would say about a request."""

    def __init__(self, request: bytes) -> None:
        self._author, self._request = Author("pod"), request

    def say(self, channel: Channel, msg_type: str, **content: object) -> Message:
        parts = self._author.write(msg_type, content, parent=self._request, date=datetime.now(UTC))
        return Message(channel=channel, parts=parts)


@asynccontextmanager
async def relay_of(path: Path, max_waiting_bytes: int = MAX_WAITING_BYTES) -> AsyncIterator[Relay]:
    """A relay behind real channels, whose session is out of reach: the test says what comes from there."""
    connection = Connection.read(path)
    channels = Channels(connection, Sockets.bind(connection))
    folders = Folders.of_user()
    session = Session(os.environ, folders, connection_file=path, connection_key=connection.key, parent=os.getppid())
    known = KernelInfoCache(folders.runtime, endpoint="", kernelspec="python3")
    relay = Relay(channels, session, known, kernelspec="python3", max_waiting_bytes=max_waiting_bytes)
    with suppress(RemoteKernelError):
        await relay.preparation.look()  # so that a cell is sent at once
    serving = asyncio.create_task(channels.serve(relay.handle))
    yield relay
    await relay.aclose()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    channels.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A connection file."""
    path = tmp_path / "c.json"
    write_connection_file(str(path), key=b"secret")
    return path


@pytest.fixture
def unreachable_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that no request gets to, so that nothing comes from it that a test has not said."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", "token")


def connect(path: Path) -> AsyncKernelClient:
    client = AsyncKernelClient(connection_file=str(path))
    client.load_connection_file()
    client.start_channels(hb=False, control=False, stdin=False)
    return client


@pytest.mark.usefixtures("unreachable_pool")
async def test_what_a_cell_has_changed_is_noted_once(path: Path) -> None:
    noted: list[Files] = []
    async with relay_of(path) as relay:
        files = Files(folder=".", cell="id", sequence=1, is_whole=True, changed=[], removed=["a"])
        await relay.deliveries.take(FilesChanged(files))  # nobody has asked for it
        await replace(relay.deliveries, note_files=noted.append).take(FilesChanged(files))
    assert noted == [files]


@pytest.mark.usefixtures("unreachable_pool")
async def test_busy_is_said_once_when_the_reply_overtakes_it(path: Path) -> None:
    """Reply and status come through two sockets of the pod's kernel, so either may be the first in its journal."""
    async with relay_of(path) as relay:
        client = connect(path)
        msg_id, pod = await begin_cell(client)
        await relay.deliveries.take(Received(pod.say(Channel.SHELL, "execute_reply", status="ok", execution_count=1)))
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "status", execution_state="busy")))
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "status", execution_state="idle")))
        assert (await client.get_shell_msg(timeout=10))["parent_header"]["msg_id"] == msg_id
        assert (await client.get_iopub_msg(timeout=10))["content"] == {"execution_state": "idle"}
        client.stop_channels()


async def begin_cell(client: AsyncKernelClient) -> tuple[str, Pod]:
    """Send a cell, of which the front end is told that it is being worked on."""
    while (await client.get_iopub_msg(timeout=10))["msg_type"] != "iopub_welcome":
        pass
    msg_id = client.execute("pass")
    first = await client.get_iopub_msg(timeout=10)
    assert first["content"] == {"execution_state": "busy"}
    return msg_id, Pod(client.session.pack(first["parent_header"]))


@pytest.mark.usefixtures("unreachable_pool")
@pytest.mark.parametrize("has_idle", [False, True])
async def test_output_that_is_dropped_behind_the_reply_is_told_in_its_cell_while_it_is_open(
    path: Path, has_idle: bool
) -> None:
    """Later nobody would look there, so that it is kept for the next cell."""
    async with relay_of(path) as relay:
        client = connect(path)
        msg_id, pod = await begin_cell(client)
        idle = pod.say(Channel.IOPUB, "status", execution_state="idle")
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "status", execution_state="busy")))
        if has_idle:
            await relay.deliveries.take(Received(idle))
        await relay.deliveries.take(Received(pod.say(Channel.SHELL, "execute_reply", status="ok", execution_count=1)))
        await relay.deliveries.take(Dropped(Gap(first=1, last=7)))
        if not has_idle:
            await relay.deliveries.take(Received(idle))
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "stream", name="stdout", text="end")))
        said: list[dict[str, Any]] = []
        while not said or said[-1]["msg_type"] != "stream":
            said.append(await client.get_iopub_msg(timeout=10))
        types = [message["msg_type"] for message in said]
        assert types == (["status", "stream"] if has_idle else ["display_data", "status", "stream"])
        assert said[0]["parent_header"]["msg_id"] == msg_id
        client.stop_channels()


@pytest.mark.usefixtures("unreachable_pool")
async def test_what_waits_for_the_session_has_a_bound(path: Path) -> None:
    """Of messages without a reply the first that does not fit is told, requests are refused, and cells may join it."""
    async with relay_of(path, max_waiting_bytes=10_000) as relay:
        client = connect(path)
        msg_id, pod = await begin_cell(client)
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "status", execution_state="busy")))
        for _ in range(5):
            client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": "a", "data": "x" * 4_000}))
        inspected = client.inspect("x" * 4_000)
        assert (await reply_to(client, inspected))["ename"] == "PoolUnreachable"
        said = [await client.get_iopub_msg(timeout=10) for _ in range(3)]
        note, busy, idle = said
        assert (note["msg_type"], note["parent_header"]["msg_id"]) == ("display_data", msg_id)
        assert "was not delivered. What waits to be sent" in note["content"]["data"]["text/plain"]
        assert {message["parent_header"]["msg_id"] for message in (busy, idle)} == {inspected}
        cell = client.execute("x" * 4_000)
        assert (await client.get_iopub_msg(timeout=10))["parent_header"]["msg_id"] == cell, "it waits for the session"
        client.stop_channels()


HEADS = (b"{}", b"[]", b"{", b"", b"null", b'{"msg_id": 5, "msg_type": []}', b'{"msg_id": "a"}', b'{"msg_type": "a"}')
PARENTS = (b"[]", b"{", b"", b"null", b'{"msg_id": [1]}', b'{"msg_type": 5}')
CONTENTS = (b"[]", b"{", b"", b"null", b"5", b"\xff", b'{"a": ' + b"[" * 1_000)
ODD_CONTENTS: tuple[dict[str, object], ...] = (
    {},
    {"ename": [], "evalue": "", "traceback": []},
    {"ename": {}, "evalue": 5, "traceback": 5},
    {"ename": "FileNotFoundError", "evalue": {}},
    {"execution_state": []},
    {"status": {}, "execution_count": [], "payload": 5},
    {"data": 5, "metadata": []},
    {"prompt": [], "password": {}},
)
TYPES = ("error", "status", "stream", "display_data", "execute_input", "comm_msg", "input_request", "inspect_reply", "")


@pytest.mark.usefixtures("unreachable_pool")
async def test_messages_of_every_odd_shape_cost_themselves(path: Path) -> None:
    """What is no message is heard by nobody, a parent that is none is {}, and the link goes on."""
    async with relay_of(path) as relay:
        client = connect(path)
        msg_id, pod = await begin_cell(client)
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "status", execution_state="busy")))
        head, parent, metadata, content = pod.say(Channel.IOPUB, "stream", name="stdout", text="never").parts
        malformed = [
            *((odd, parent, metadata, content) for odd in HEADS),
            *((head, parent, odd, content) for odd in CONTENTS),
            *((head, parent, metadata, odd) for odd in CONTENTS),
        ]
        for odd in PARENTS:
            first, _, *rest = pod.say(Channel.IOPUB, "stream", name="stdout", text="nobody's").parts
            await relay.deliveries.take(Received(Message(Channel.IOPUB, (first, odd, *rest))))
        for channel in Channel:
            for parts in malformed:
                await relay.deliveries.take(Received(Message(channel, parts)))
            for msg_type in TYPES:
                for fields in ODD_CONTENTS:
                    await relay.deliveries.take(Received(pod.say(channel, msg_type, **fields)))
        assert relay.deliveries.malformed.count == len(Channel) * len(malformed)
        await relay.deliveries.take(Received(pod.say(Channel.IOPUB, "stream", name="stdout", text="end")))
        said: list[dict[str, Any]] = []
        while not said or said[-1]["content"].get("text") != "end":
            said.append(await client.get_iopub_msg(timeout=10))
        of_nobody = [message for message in said if message["content"].get("text") == "nobody's"]
        assert [message["parent_header"] for message in of_nobody] == [{}] * len(PARENTS)
        assert {message["parent_header"]["msg_id"] for message in said if message not in of_nobody} == {msg_id}
        assert "never" not in {message["content"].get("text") for message in said}
        client.stop_channels()


@pytest.mark.usefixtures("unreachable_pool")
async def test_a_message_that_brings_up_a_defect_costs_itself(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    async with relay_of(path) as relay:
        said = Pod(b"{}").say(Channel.IOPUB, "stream", name="stdout", text="x")
        await replace(relay.deliveries, do=fail).take(Received(said))
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.usefixtures("unreachable_pool")
async def test_a_note_of_dropped_output_waits_for_room(path: Path) -> None:
    has_room, told = asyncio.Event(), asyncio.Event()

    class Slow:
        async def room(self) -> None:
            await has_room.wait()

    async with relay_of(path) as relay:
        deliveries = replace(relay.deliveries, channels=cast("Channels", Slow()), note_gap=told.set)
        telling = asyncio.create_task(deliveries.take(Dropped(Gap(first=1, last=2))))
        await asyncio.sleep(0)
        assert not told.is_set()
        has_room.set()
        await telling
        assert told.is_set()


async def reply_to(client: AsyncKernelClient, msg_id: str) -> dict[str, Any]:
    reply: dict[str, Any] = await client.get_shell_msg(timeout=10)
    assert reply["parent_header"]["msg_id"] == msg_id
    content: dict[str, Any] = reply["content"]
    return content


@pytest.mark.parametrize("place", ["Hints.read", "Session.open"])
async def test_a_defect_ends_its_cell_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"remote_kernel.kernel.relay.{place}", fail)
    async with relay_of(path):
        client = connect(path)
        content = await reply_to(client, client.execute("1"))
        assert (content["status"], content["evalue"]) == (
            "error", "The remote kernel has failed inside (ZeroDivisionError)."
        )  # fmt: skip
        assert (await reply_to(client, client.kernel_info()))["status"] == "ok"
        client.stop_channels()


async def test_a_notebook_of_nobody_is_told_in_the_cell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_NOTEBOOK", "~nobody-here/a.ipynb")
    async with relay_of(path):
        client = connect(path)
        content = await reply_to(client, client.execute("1"))
        assert "there is no user for '~' in '~nobody-here/a.ipynb'" in content["evalue"]
        client.stop_channels()
