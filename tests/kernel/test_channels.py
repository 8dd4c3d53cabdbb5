"""The front end's side, against jupyter_client's own sockets."""

import asyncio
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.wire.frames import Channel
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.prompts import MAX_KEPT_BYTES
from remote_kernel.kernel.frontend.sockets import Sockets
from tests.driver import is_alive, kernel_manager, wait_until, write_connection_file


def start(connection_file: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "remote_kernel", "-f", str(connection_file)])


def channels_of(connection_file: Path) -> Channels:
    connection = Connection.read(connection_file)
    return Channels(connection, Sockets.bind(connection))


def connect(connection_file: Path, *, has_heartbeat: bool = True) -> BlockingKernelClient:
    client = BlockingKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels(hb=has_heartbeat)
    return client


def wait_ready(client: BlockingKernelClient) -> None:
    """Wait for a kernel that may still be starting; `wait_for_ready` gives up where it has no heartbeat in a second."""
    msg_id = client.kernel_info()
    assert client.get_shell_msg(timeout=60)["parent_header"]["msg_id"] == msg_id


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_ports_of_zero_are_picked_and_written_back(tmp_path: Path, transport: str) -> None:
    path = tmp_path / "c.json"
    ip = "127.0.0.1" if transport == "tcp" else str(tmp_path / "s")
    write_connection_file(path, ip=ip, key=b"secret", transport=transport)
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {name: 0 for name in fields if name.endswith("_port")}))
    process = start(path)
    try:
        wait_until(lambda: all(Connection.read(path).ports.values()))
        assert len(set(Connection.read(path).ports.values())) == 5
        assert path.stat().st_mode & 0o777 == 0o600
        client = connect(path)
        wait_ready(client)
        wait_until(client.hb_channel.is_beating)
        client.shutdown()
        assert process.wait(10) == 0
        client.stop_channels()
    finally:
        process.kill()
        process.wait()


def test_a_subscriber_is_welcomed(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    process = start(path)
    client = connect(path)
    try:
        message = client.get_iopub_msg(timeout=30)
        while message["msg_type"] != "iopub_welcome":
            message = client.get_iopub_msg(timeout=30)
        assert message["content"] == {"subscription": ""}
    finally:
        client.stop_channels()
        process.terminate()
        assert process.wait(10) == 0


def test_a_message_with_a_wrong_signature_is_not_answered(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    process = start(path)
    client, stranger = connect(path), connect(path)
    try:
        wait_ready(client)
        stranger.session.key = b"guess"
        stranger.shutdown()
        stranger.kernel_info()
        client.kernel_info()
        assert client.get_shell_msg(timeout=10)["msg_type"] == "kernel_info_reply"
        assert process.poll() is None
    finally:
        client.stop_channels()
        stranger.stop_channels()
        process.terminate()
        process.wait(10)


def test_a_kernel_whose_front_end_was_killed_ends(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    code = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-m', 'remote_kernel', '-f', sys.argv[1]]).pid, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        client = connect(path)
        wait_ready(client)
        client.stop_channels()
        parent.kill()
        wait_until(lambda: not is_alive(pid), timeout_seconds=10)


def test_a_kernel_whose_front_end_was_gone_before_it_looked_ends(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    # The kernel does not run before its parent, which jupyter_client names to it, has ended.
    code = "import os, sys; os.fork() and os._exit(0); os.read(0, 1); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", code, sys.executable, "-m", "remote_kernel", "-f", str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "JPY_PARENT_PID": "99999999"}
    ) as parent:
        assert parent.wait(10) == 0
        _, log = parent.communicate(b"go", timeout=30)  # to the end of what the kernel may write
        assert log == b""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("{", "is not a Jupyter connection file"),
        ("[]", "is not a Jupyter connection file"),
        ('{"shell_port": "x"}', "is not a Jupyter connection file"),
        ('{"transport": "pigeon"}', "use tcp or ipc"),
        ('{"signature_scheme": "hmac-sha257", "key": "k"}', "signed by 'hmac-sha257': use hmac-sha256, or"),
        ('{"signature_scheme": "hmac-new", "key": "k"}', "signed by 'hmac-new': use hmac-sha256, or"),
        ('{"signature_scheme": 256, "key": "k"}', "is not a Jupyter connection file"),
        ('{"transport": []}', "is not a Jupyter connection file"),
        ('{"key": 7}', "is not a Jupyter connection file"),
        ('{"shell_port": 1e999}', "is not a Jupyter connection file"),
        ('{"shell_port": 70000}', "names a port that is none"),
        ("[" * 50_000, "is not a Jupyter connection file"),
        (json.dumps({"curve_publickey": "p" * 40}), "asks for encryption and does not have both"),
        (json.dumps({"curve_secretkey": "s" * 40}), "asks for encryption and does not have both"),
        (json.dumps({"curve_publickey": "p" * 40, "curve_secretkey": ""}), "asks for encryption"),
        (json.dumps({"curve_publickey": "p" * 40, "curve_secretkey": None}), "asks for encryption"),
        (json.dumps({"curve_publickey": "p" * 40, "curve_secretkey": "s" * 39}), "asks for encryption"),
        (json.dumps({"curve_publickey": "p" * 40, "curve_secretkey": "s" * 39 + "ß"}), "asks for encryption"),
        (json.dumps({"curve_publickey": "p" * 40, "curve_secretkey": ["s" * 40]}), "is not a Jupyter connection file"),
    ],
)
def test_a_connection_file_of_no_use_is_told_in_a_sentence(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=problem) as raised:
        Connection.read(path)
    assert "pppp" not in str(raised.value)


def test_a_kernel_that_was_given_half_a_pair_of_keys_listens_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"curve_publickey": "p" * 40}))
    command = [sys.executable, "-m", "remote_kernel", "-f", str(path)]
    kernel = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ, check=False)
    assert kernel.returncode == 2
    assert kernel.stderr.count("\n") == 1
    assert "asks for encryption" in kernel.stderr


@pytest.mark.parametrize("scheme", ["hmac-sha512", "hmac-md5", "hmac-sha3_256", "hmac-blake2s"])
def test_messages_are_signed_as_the_front_end_wants_it(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret", signature_scheme=scheme)
    process = start(path)
    client, stranger = connect(path), connect(path)
    stranger.session.signature_scheme = "hmac-sha256"
    try:
        assert client.session.signature_scheme == scheme
        wait_ready(client)
        stranger.shutdown()
        client.shutdown(reply=True, timeout=10)
        assert process.wait(10) == 0
    finally:
        client.stop_channels()
        stranger.stop_channels()
        process.kill()
        process.wait()


def test_a_scheme_of_signatures_says_nothing_without_a_key(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"signature_scheme": "hmac-sha257"}')
    assert Connection.read(path).key == b""


def test_why_a_kernel_did_not_start_is_on_standard_error_and_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "kernel-1.json"
    write_connection_file(path, key=b"secret")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"signature_scheme": "hmac-none"}))
    command = [sys.executable, "-m", "remote_kernel", "-f", str(path)]
    environ = {**os.environ, "REMOTE_KERNEL_LOG": str(tmp_path / "logs")}
    kernel = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ, check=False)
    assert kernel.returncode == 2
    assert kernel.stderr.count("\n") == 1
    assert "signed by 'hmac-none'" in kernel.stderr
    (line,) = (tmp_path / "logs" / "kernel-1.log").read_text().splitlines()
    assert json.loads(line)["level"] == "error"
    assert f"remote-kernel: {json.loads(line)['text']}\n" == kernel.stderr


def test_why_a_kernel_did_not_start_is_one_sentence_where_no_log_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "remote_kernel", "-f", str(tmp_path / "missing.json")]
    environ = {**os.environ, "REMOTE_KERNEL_LOG": str(tmp_path / "file" / "logs")}
    kernel = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ, check=False)
    assert (kernel.returncode, kernel.stderr.count("\n")) == (2, 1)


def test_a_port_in_use_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    first = start(path)
    client = connect(path)
    wait_ready(client)
    client.stop_channels()
    command = [sys.executable, "-m", "remote_kernel", "-f", str(path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ, check=False)
    first.terminate()
    first.wait(10)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    port = Connection.read(path).ports["shell"]
    assert f"Another program has port {port} of 127.0.0.1" in second.stderr
    assert "shell channel" in second.stderr


def test_the_transport_is_encrypted_where_the_front_end_wants_it() -> None:
    manager = kernel_manager("remote", transport_encryption="required")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    eavesdropper = connect_in_the_clear(Path(manager.connection_file))
    try:
        wait_ready(client)
        wait_until(client.hb_channel.is_beating)
        assert not answers(eavesdropper)
        assert manager.is_alive()
    finally:
        eavesdropper.stop_channels()
        client.stop_channels()
        manager.shutdown_kernel()


def connect_in_the_clear(connection_file: Path) -> BlockingKernelClient:
    fields = json.loads(connection_file.read_text())
    client = BlockingKernelClient()
    client.load_connection_info(cast(Any, {name: fields[name] for name in fields if not name.startswith("curve_")}))
    client.start_channels(hb=False)
    return client


def answers(client: BlockingKernelClient) -> bool:
    """Whether a kernel answers within half a second; one that has hung up takes no question."""
    client.shell_channel.socket.sndtimeo = 0
    try:
        client.kernel_info()
        client.get_shell_msg(timeout=0.5)
    except (queue.Empty, zmq.Again):
        return False
    return True


@pytest.mark.parametrize("name", ["shell", "control", "stdin", "iopub", "hb"])
def test_a_port_that_is_taken_for_a_moment_is_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    connection = Connection.read(path)
    taken = socket.create_server(("127.0.0.1", connection.ports[name]))
    release = threading.Timer(0.2, taken.close)
    release.start()
    sockets = Sockets.bind(connection)
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", connection.ports[name]))
    sockets.close()
    release.join()


def test_ports_are_waited_for_so_long_together(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    connection = Connection.read(path)
    first, last = (socket.create_server(("127.0.0.1", connection.ports[name])) for name in ("shell", "hb"))
    release = threading.Timer(0.4, first.close)
    release.start()
    started = time.monotonic()
    with last, pytest.raises(SettingsError, match=f"port {connection.ports['hb']} of 127.0.0.1.* heartbeat channel"):
        Sockets.bind(connection, 0.5)
    assert time.monotonic() - started < 0.8
    release.join()


def test_an_address_that_is_not_ours_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ip": "192.0.2.1"}))  # for documentation, RFC 5737
    command = [sys.executable, "-m", "remote_kernel", "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {Connection.read(path).ports['shell']} of 192.0.2.1" in done.stderr


COMES_BACK = 100


def test_a_front_end_that_comes_back_under_its_name_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    process = start(path)
    try:
        for _ in range(COMES_BACK):
            client = BlockingKernelClient(connection_file=str(path))
            client.load_connection_file()
            client.session.session = "the-same"  # which names its sockets
            client.start_channels(iopub=False, hb=False)
            wait_ready(client)
            client.stop_channels()
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_second_client_of_one_session_is_answered() -> None:
    manager = kernel_manager("remote")
    manager.start_kernel()
    clients = [manager.blocking_client() for _ in range(2)]
    try:
        for client in clients:
            client.session.session = manager.session.session
            client.start_channels()
            client.wait_for_ready(timeout=30)
    finally:
        for client in clients:
            client.stop_channels()
        manager.shutdown_kernel()


@pytest.mark.anyio
@pytest.mark.parametrize("defect", [OSError("no"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_a_message_that_cannot_be_handled_costs_that_message(tmp_path: Path, defect: BaseException) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    channels = channels_of(path)
    handled: asyncio.Queue[Channel] = asyncio.Queue()
    defects = [defect]

    async def handle(channel: Channel, _prefixes: list[bytes], _parts: tuple[bytes, ...]) -> None:
        handled.put_nowait(channel)
        if defects:
            raise defects.pop()

    serving = asyncio.create_task(channels.serve(handle))
    # A thread of the client's that begins when the client has ended already finds no room for its socket.
    client = connect(path, has_heartbeat=False)
    try:
        async with asyncio.timeout(10):
            for _ in range(2):
                client.kernel_info()
                assert await handled.get() is Channel.SHELL
        assert not serving.done()
    finally:
        client.stop_channels()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        channels.close()


ENDS = """
import asyncio, sys
from remote_kernel.kernel import app
from remote_kernel.kernel.frontend import channels, iopub_queue

async def end(self, *_):
    await asyncio.sleep(0.1)
    {how}

{what} = end
sys.exit(app.main(["-f", sys.argv[1]]))
"""


DEAF = ["channels.Channels._receive", "iopub_queue.IopubQueue._admit_all", "iopub_queue.IopubQueue._send_held"]


@pytest.mark.parametrize("what", DEAF)
@pytest.mark.parametrize("how", ["raise OSError", "return", "raise asyncio.CancelledError"])
def test_a_kernel_that_has_become_deaf_ends_and_says_so(tmp_path: Path, what: str, how: str) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    command = [sys.executable, "-c", ENDS.format(what=what, how=how), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "failed inside" in done.stderr


def test_the_end_of_the_heartbeat_is_the_end_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_sockets: object) -> None:
        raise zmq.ZMQError(zmq.EFAULT)

    async def handle(*_message: object) -> None: ...

    async def serve() -> None:
        channels = channels_of(path)
        try:
            await channels.serve(handle)
        finally:
            channels.close()

    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    monkeypatch.setattr(zmq, "proxy", fail)
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        asyncio.run(serve())


@pytest.mark.anyio
async def test_a_prompt_waits_for_the_stdin_channel_of_whom_it_is_for(tmp_path: Path) -> None:
    """Its shell channel may be connected a fifth of a second before."""
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    channels = channels_of(path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    front_end = context.socket(zmq.DEALER)
    front_end.identity = b"front end"
    front_end.linger = 0

    async def ignore(*_: object) -> None:
        pass

    serving = asyncio.create_task(channels.serve(ignore))
    try:
        for prompt in (b"first", b"second"):
            channels.send(Channel.STDIN, [b"front end"], (b"{}", b"{}", b"{}", prompt))
        channels.send(Channel.STDIN, [b"somebody else"], (b"{}", b"{}", b"{}", b"never seen"))
        front_end.connect(Connection.read(path).url("stdin"))
        front_end.rcvtimeo = 10_000
        for prompt in (b"first", b"second"):
            assert (await asyncio.to_thread(front_end.recv_multipart))[-1] == prompt
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        front_end.close()
        context.term()
        channels.close()


@pytest.mark.anyio
async def test_prompts_for_nobody_have_a_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    channels = channels_of(path)
    try:
        for _ in range(9):
            channels.send(Channel.STDIN, [b"nobody"], (b"{}", b"{}", b"{}", bytes(MAX_KEPT_BYTES // 8)))
        dropped = [record for record in caplog.records if "prompt dropped" in record.getMessage()]
        assert len(dropped) == 2, "the oldest make room"
    finally:
        channels.close()
