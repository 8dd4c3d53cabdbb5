"""Wire version 2 over real HTTP, with a real interpreter behind it."""

import json
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

import httpx
import pytest

from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.compression import MAX_UNPACKED_BYTES
from remote_kernel.pod.api.calls import MAX_BODY_BYTES
from tests.driver import Content, Pod, run_in_pod, stdout_of, wait_until


def write(
    msg_type: str, content: Content, *, sequence: int = 1, seen: int = 0, channel: wire.Channel = wire.Channel.SHELL
) -> wire.Message:
    parts = Author(uuid.uuid4().hex).write(msg_type, content, date=datetime.now(UTC))
    return wire.Message(channel=channel, parts=parts, sequence=sequence, seen=seen)


def execute(code: str, *, sequence: int = 1, seen: int = 0, **content: object) -> wire.Message:
    return write("execute_request", {"code": code, "silent": False, **content}, sequence=sequence, seen=seen)


class Events:
    """An open event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.iter_raw()
        self._decoder = codec.FrameDecoder()
        self._frames: list[wire.Frame] = []

    @property
    def received_bytes(self) -> int:
        return self._response.num_bytes_downloaded

    def next(self) -> wire.Frame:
        """Return the next frame that is no keepalive and does not speak of others."""
        while True:
            while not self._frames:
                self._frames += self._decoder.feed(next(self._chunks))
            frame = self._frames.pop(0)
            if not isinstance(frame, wire.Keepalive | wire.Peers):
                return frame

    def hello(self) -> wire.Hello:
        frame = self.next()
        assert isinstance(frame, wire.Hello)
        return frame

    def until_reply(self, request: wire.Message) -> wire.Message:
        """Return the reply to a request, which may overtake what is said on iopub."""
        msg_id = parse_header(request.parts[0]).msg_id
        while True:
            frame = self.next()
            if not isinstance(frame, wire.Message) or frame.channel is wire.Channel.IOPUB:
                continue
            if parse_header(frame.parts[1]).msg_id == msg_id:
                return frame

    def until_idle(self, request: wire.Message) -> list[Content]:
        """Return what a request says on iopub, to its end."""
        msg_id = parse_header(request.parts[0]).msg_id
        said: list[Content] = []
        while not (said and said[-1]["content"].get("execution_state") == "idle"):
            frame = self.next()
            if not isinstance(frame, wire.Message) or frame.channel is not wire.Channel.IOPUB:
                continue
            if parse_header(frame.parts[1]).msg_id == msg_id:
                said.append(to_content(frame))
        return said

    def types_until_reply(self, request: wire.Message) -> list[str]:
        """Return the types of what the pod passes on of a request ahead of its reply."""
        msg_id, types = parse_header(request.parts[0]).msg_id, list[str]()
        while not types or types[-1] != "execute_reply":
            frame = self.next()
            if isinstance(frame, wire.Message) and parse_header(frame.parts[1]).msg_id == msg_id:
                types.append(parse_header(frame.parts[0]).msg_type)
        return types[:-1]


def to_content(message: wire.Message) -> Content:
    header = parse_object(message.parts[0])
    return {"msg_type": header["msg_type"], "content": parse_object(message.parts[3])}


@contextmanager
def follow(client: httpx.Client, **params: str) -> Iterator[Events]:
    with client.stream("GET", wire.EVENTS_PATH, params=params) as response:
        assert response.status_code == 200, response.read()
        yield Events(response)


def post(client: httpx.Client, epoch: str, sender: str, *messages: wire.Message, **params: str) -> httpx.Response:
    params = {"epoch": epoch, "sender": sender, **params}
    return client.post(wire.MESSAGES_PATH, params=params, content=codec.encode_all(messages))


@pytest.fixture
def kernel() -> str:
    """A name that no other test's kernel in the pod has."""
    return f"k-{uuid.uuid4().hex[:8]}"


def status_of(reply: wire.Message) -> str:
    return str(parse_object(reply.parts[3])["status"])


def test_health_is_ok(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200


def test_execute_streams_the_messages_of_the_cell_and_ends_with_the_reply(client: httpx.Client) -> None:
    messages = run_in_pod(client, "print('hi')\n6 * 7")
    assert stdout_of(messages) == "hi\n"
    assert [message["msg_type"] for message in messages] == [
        "status", "execute_input", "stream", "execute_result", "status", "execute_reply",
    ]  # fmt: skip
    assert len({message["parent_header"]["msg_id"] for message in messages}) == 1


def test_execute_sends_each_message_as_it_happens(client: httpx.Client, kernel: str) -> None:
    """The cell waits for a file that is made only once its first output has been read."""
    code = (
        "import os, time\nprint('waiting', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('went')"
    )
    with client.stream("POST", "/api/v2/execute", params={"kernel": kernel}, json={"code": code}) as response:
        lines = response.iter_lines()
        while "waiting" not in next(lines):
            pass
        run_in_pod(client, "open('go', 'w').close()")
        assert "went" in "".join(lines)


def test_execute_reports_a_dead_interpreter_in_its_last_line(client: httpx.Client, kernel: str) -> None:
    last = run_in_pod(client, "import os; os._exit(3)", kernel=kernel)[-1]
    assert (last["msg_type"], last["content"]["ename"]) == ("execute_reply", "SessionLost")
    assert "exit status 3" in last["content"]["evalue"]
    assert run_in_pod(client, "1 + 1", kernel=kernel)[-1]["content"]["status"] == "ok"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"code": 1}', b"[" * 100_000, b"\xff", b'{"code": "\\ud800"}']
)
def test_execute_refuses_what_is_no_code(client: httpx.Client, body: bytes) -> None:
    response = client.post("/api/v2/execute", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == response.headers["x-ms-error-code"] == "BadRequest"


def test_an_unknown_kernelspec_is_told_with_the_known_ones(client: httpx.Client, kernel: str) -> None:
    response = client.post("/api/v2/execute", params={"kernel": kernel, "kernelspec": "cobol"}, json={"code": "1"})
    assert response.status_code == 404
    assert "'cobol'" in response.json()["error"]["message"]
    assert "python3" in response.json()["error"]["message"]


def test_session_describes_the_pod(client: httpx.Client, kernel: str) -> None:
    run_in_pod(client, "1", kernel=kernel)
    session = client.get(wire.SESSION_PATH).json()
    (described,) = [each for each in session["kernels"] if each["name"] == kernel]
    assert described["cursor"] > 0
    assert described["is_busy"] is False
    assert session["idle_seconds"] >= 0


def test_a_repeated_request_runs_once(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        first, second = execute("count = globals().get('count', 0) + 1"), execute("count", sequence=2)
        assert post(client, hello.epoch, "s", first, kernel=kernel).json()["accepted"] == 1
        assert post(client, hello.epoch, "s", first, kernel=kernel).json()["accepted"] == 0
        assert post(client, hello.epoch, "s", first, second, kernel=kernel).json()["accepted"] == 1
        (result,) = [said for said in events.until_idle(second) if said["msg_type"] == "execute_result"]
        assert result["content"]["data"]["text/plain"] == "1"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(1)", "stream"),
        ("display(1)", "display_data"),
        ("1", "execute_result"),
        ("print('x' * 2_000_000)", "stream"),
        ("1 / 0", "error"),
    ],
)
def test_a_reply_is_passed_on_behind_what_was_said_before_it(
    client: httpx.Client, kernel: str, code: str, said: str
) -> None:
    cells = [execute(code, sequence=number, stop_on_error=False) for number in range(1, 21)]
    with follow(client, kernel=kernel) as events:
        epoch = events.hello().epoch
        for cell in cells:
            post(client, epoch, "s", cell, kernel=kernel)
            types = events.types_until_reply(cell)
            assert types[:2] == ["status", "execute_input"]
            assert set(types[2:]) - {"status"} == {said}  # "idle" may be either side of the reply


def test_a_message_for_another_epoch_is_refused_before_anything_runs(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        refused = post(client, "another", "s", execute("ran = True"), kernel=kernel)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, wire.EPOCH_MISMATCH)
        request = execute("assert 'ran' not in globals()")
        post(client, hello.epoch, "s", request, kernel=kernel)
        assert status_of(events.until_reply(request)) == "ok"


def test_a_hole_in_the_numbers_is_refused(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        response = post(client, events.hello().epoch, "s", execute("1", sequence=2), kernel=kernel)
    assert response.status_code == 400


def test_a_reader_that_comes_back_gets_what_it_missed_once_and_in_order(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        request = execute("for i in range(50): print(i, flush=True)")
        post(client, hello.epoch, "s", request, kernel=kernel)
        events.until_reply(request)
    seen: list[int] = []
    cursor = hello.cursor
    while len(seen) < 20:
        with follow(client, kernel=kernel, epoch=hello.epoch, after=str(cursor)) as events:
            assert events.hello().cursor == cursor
            for _ in range(3):
                frame = events.next()
                assert isinstance(frame, wire.Message)
                seen.append(frame.sequence)
                cursor = frame.sequence
    assert seen == list(range(hello.cursor + 1, hello.cursor + 1 + len(seen)))


def test_a_reader_of_another_life_is_refused(client: httpx.Client, kernel: str) -> None:
    """Also when somebody else has made a kernel of that name in the new pod."""
    for _ in range(2):
        response = client.get(wire.EVENTS_PATH, params={"kernel": kernel, "epoch": "gone", "after": "3"})
        assert (response.status_code, response.json()["error"]["code"]) == (409, wire.EPOCH_MISMATCH)
        with follow(client, kernel=kernel) as events:
            events.hello()


def test_message_of_a_kernel_that_is_none_costs_that_message(client: httpx.Client, kernel: str) -> None:
    code = """
thread = get_ipython().kernel.iopub_thread
for frames in [b"x"], [b"x", b"y"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{", b"{", b"{", b"{"], [b"x"] * 300:
    thread.schedule(lambda frames=frames: thread.socket.send_multipart(frames))
thread.flush() if hasattr(thread, "flush") else None
print("after")
"""
    assert stdout_of(run_in_pod(client, code, kernel=kernel)) == "after\n"


@pytest.mark.parametrize("after", ["", "-1", "x", "1.5", "9" * 20, "²"])
def test_a_cursor_that_is_none_is_refused(client: httpx.Client, kernel: str, after: str) -> None:
    with follow(client, kernel=kernel) as events:
        epoch = events.hello().epoch
    response = client.get(wire.EVENTS_PATH, params={"kernel": kernel, "epoch": epoch, "after": after})
    assert response.status_code == 400


def test_a_dead_interpreter_begins_a_new_epoch(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        post(
            client, hello.epoch, "s", execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), kernel=kernel
        )
        frame = events.next()
        while not isinstance(frame, wire.EpochChange):
            frame = events.next()
        assert (frame.reason, frame.detail) == ("died", "signal 9 (SIGKILL)")
        assert frame.epoch != hello.epoch
        assert post(client, hello.epoch, "s", execute("1", sequence=2), kernel=kernel).status_code == 409
        request = execute("1", sequence=1)
        post(client, frame.epoch, "t", request, kernel=kernel)
        assert status_of(events.until_reply(request)) == "ok"


def test_a_restart_keeps_the_pod_and_the_journal(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        request = write("shutdown_request", {"restart": True}, channel=wire.Channel.CONTROL)
        assert post(client, hello.epoch, "c", request, kernel=kernel).json()["accepted"] == 1
        assert status_of(events.until_reply(request)) == "ok"
        change = events.next()
        assert isinstance(change, wire.EpochChange)
        assert change.reason == "restart"
        assert post(client, hello.epoch, "c", request, kernel=kernel).json()["accepted"] == 0
        code = execute("1")
        post(client, change.epoch, "s", code, kernel=kernel)
        assert status_of(events.until_reply(code)) == "ok"


def test_a_shutdown_removes_the_kernel_and_ends_its_stream(client: httpx.Client, kernel: str) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        request = write("shutdown_request", {"restart": False}, channel=wire.Channel.CONTROL)
        post(client, hello.epoch, "c", request, kernel=kernel)
        frame = events.next()
        while not isinstance(frame, wire.End):
            frame = events.next()
    assert kernel not in {each["name"] for each in client.get(wire.SESSION_PATH).json()["kernels"]}


def test_a_cell_sent_before_the_error_ahead_of_it_could_be_seen_is_aborted(client: httpx.Client, kernel: str) -> None:
    """Over a slow line the second cell arrives after the first has failed; on one machine it would have been queued."""
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        failing = execute("1/0", seen=hello.cursor)
        post(client, hello.epoch, "s", failing, kernel=kernel)
        error = events.until_reply(failing)
        behind = execute("2", sequence=2, seen=hello.cursor)
        post(client, hello.epoch, "s", behind, kernel=kernel)
        assert status_of(events.until_reply(behind)) == "aborted"
        numbers = count(3)

        def is_run() -> bool:
            after = execute("3", sequence=next(numbers), seen=error.sequence)
            post(client, hello.epoch, "s", after, kernel=kernel)
            return status_of(events.until_reply(after)) == "ok"

        wait_until(is_run)  # what comes in the moment after a failure, ipykernel aborts by itself


@pytest.mark.parametrize("options", [{"stop_on_error": False}, {"silent": True}], ids=["no stop", "silent"])
def test_an_error_that_stops_nothing_aborts_nothing(client: httpx.Client, kernel: str, options: Content) -> None:
    with follow(client, kernel=kernel) as events:
        hello = events.hello()
        failing = execute("1/0", seen=hello.cursor, **options)
        post(client, hello.epoch, "s", failing, kernel=kernel)
        events.until_reply(failing)
        behind = execute("2", sequence=2, seen=hello.cursor)
        post(client, hello.epoch, "s", behind, kernel=kernel)
        assert status_of(events.until_reply(behind)) == "ok"


@pytest.mark.parametrize(
    "body",
    [
        b"\x00", b"\xff" * 40, codec.encode(wire.Keepalive()), codec.encode(execute("1"))[:-1], b'{"json": 1}',
        codec.encode(execute("1")._replace(channel=wire.Channel.IOPUB)),
    ],
)  # fmt: skip
def test_frames_that_are_none_are_refused_and_the_pod_lives_on(client: httpx.Client, body: bytes) -> None:
    response = client.post(wire.MESSAGES_PATH, params={"epoch": "e", "sender": "s"}, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "WireError"
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(("asked", "least", "most"), [({"compress": "zlib"}, 0.1, 0.6), ({}, 1.0, 1.1)])
def test_output_comes_whole_and_compressed_for_who_asked_for_it(
    client: httpx.Client, kernel: str, asked: dict[str, str], least: float, most: float
) -> None:
    text = " ".join(map(str, range(200_000)))
    request = execute("print(' '.join(map(str, range(200_000))))")
    with follow(client, kernel=kernel, **asked) as events:
        hello = events.hello()
        assert hello.takes_compressed
        assert post(client, hello.epoch, "s", request, kernel=kernel).status_code == 200
        said = events.until_idle(request)
        received_bytes = events.received_bytes
    assert stdout_of(said) == text + "\n"
    assert least * len(text) < received_bytes < most * len(text)


def test_a_compressed_cell_runs(client: httpx.Client, kernel: str) -> None:
    request = execute(f"print(1)  # {' '.join(map(str, range(30_000)))}")
    body = b"".join(codec.compressed(codec.encode(request)))
    assert len(body) < len(request.parts[3]) / 2
    with follow(client, kernel=kernel) as events:
        params = {"epoch": events.hello().epoch, "sender": "s", "kernel": kernel}
        assert client.post(wire.MESSAGES_PATH, params=params, content=body).json()["accepted"] == 1
        assert stdout_of(events.until_idle(request)) == "1\n"


def test_what_unpacks_to_more_than_may_be_sent_is_refused_and_the_pod_lives_on(client: httpx.Client) -> None:
    announced = codec.MAX_FRAME_BYTES.to_bytes(4, "big") + bytes([wire.FrameType.MESSAGE])
    packer = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    piece = packer.compress(announced + bytes(MAX_UNPACKED_BYTES - len(announced))) + packer.flush()
    frame = (len(piece) + 1).to_bytes(4, "big") + bytes([wire.FrameType.COMPRESSED]) + piece
    body = frame * (MAX_BODY_BYTES // MAX_UNPACKED_BYTES + 1)
    assert len(body) < MAX_BODY_BYTES / 7
    response = client.post(wire.MESSAGES_PATH, params={"epoch": "e", "sender": "s"}, content=body)
    assert response.status_code == 413
    assert "256 MB" in response.json()["error"]["message"]
    assert client.get("/health").status_code == 200


def test_kernels_have_the_pod_s_name_and_cooldown_and_none_of_its_settings() -> None:
    from remote_kernel.pod.environment import kernel_environ

    environ = kernel_environ(
        {"PATH": "/bin", "REMOTE_KERNEL_TOKEN": "x", "REMOTE_KERNEL_POD_COOLDOWN_SECONDS": "5"}, "p"
    )
    assert environ == {
        "PATH": "/bin",
        "REMOTE_KERNEL_POD": "p",
        "REMOTE_KERNEL_POD_COOLDOWN_SECONDS": "5",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def test_a_line_is_json_with_jupyter_s_names(client: httpx.Client) -> None:
    for message in run_in_pod(client, "1"):
        assert set(message) == {"channel", "msg_type", "header", "parent_header", "metadata", "content", "buffers"}
        assert json.dumps(message)


def test_the_pod_listens_on_loopback(pod: Pod) -> None:
    assert pod.endpoint.startswith("http://127.0.0.1:")
