"""`remote-kernel doctor` names what is wrong, in a sentence that says what mends it, and leaves nothing behind."""

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remote_kernel.cli.doctor import DEFAULT_TIMEOUT_SECONDS
from tests.cli.command import Done, run_command, start_command
from tests.driver import Pool, run_in_pod, wait_until

Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """Listen on loopback and give each connection to `answer`; yields the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            held = []  # a connection that is let go is closed
            try:
                while True:
                    connection, _ = listener.accept()
                    held.append(connection)
                    answer(connection)
            except OSError:
                for connection in held:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def page(connection: socket.socket, status: str) -> None:
    body = b"<html><body><h1>Welcome to the gateway</h1></body></html>"
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    with contextlib.suppress(OSError):  # whoever only looks whether somebody listens has gone already
        connection.recv(65_536)
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)


def examine(*arguments: object, endpoint: str, token: str = "t", monkeypatch: pytest.MonkeyPatch) -> Done:
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", token)
    began = time.monotonic()
    done = run_command("doctor", "--endpoint", endpoint, *arguments)
    assert "--timeout" in arguments or time.monotonic() - began < 15
    assert token == "t" or token not in done.stdout + done.stderr
    return done


def last_finding(done: Done) -> tuple[str, str, str]:
    """Return status, check and text of the last line."""
    status, rest = done.stdout.splitlines()[-1].split(maxsplit=1)
    return status, rest[:14].strip(), rest[15:]


def test_pool_in_order_passes_every_check_and_keeps_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--max-sessions", "3", "--cooldown", "200") as pool:
        # A cold pod on a busy machine.
        done = examine("--timeout", 60, endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
        assert (done.status, done.stderr) == (0, "")
        assert pool.sessions() == []
        lines = done.stdout.splitlines()
        assert {line.split()[0] for line in lines} == {"ok"}
        assert "0 of 3 sessions in use, " in lines[-2]
        assert "cooldown 200 s" in lines[-2]
        assert last_finding(done)[2].startswith("pods with our agent; ready in ")
        bare = examine("--no-session", "--json", endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
    fields = json.loads(bare.stdout)
    assert fields["ok"] is True
    assert [check["check"] for check in fields["checks"]] == [
        "versions", "kernels", "folders", "settings", "identity", "pool", "connection", "token", "front door", "room",
    ]  # fmt: skip


def test_interpreter_pool_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--flavor", "interpreter") as pool:
        # A cold pod on a busy machine.
        done = examine("--timeout", 60, endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
        assert (done.status, done.stderr) == (0, "")
        assert "pods with Azure's built-in interpreter, to which our agent was brought" in done.stdout.splitlines()[-1]
        assert pool.sessions() == []


@pytest.mark.contract
def test_interpreter_pool_that_can_have_no_agent_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--flavor", "interpreter", "--sandbox", "strict") as pool:
        done = examine("--timeout", 60, endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
        assert (done.status, done.stderr) == (0, "")
        assert "can have no agent" in done.stdout.splitlines()[-1]
        assert "Read-only file system" in done.stdout.splitlines()[-1]
        assert pool.sessions() == []


def test_full_pool_is_told_without_asking_for_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--max-sessions", "1") as pool:
        with pool.client() as client:
            run_in_pod(client, "1", identifier="somebody-else")
        (before,) = pool.sessions()
        done = examine(endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
        assert done.status == 1
        assert last_finding(done)[:2] == ("failed", "room")
        assert "The pool is full (1 of 1 sessions are in use): shut down notebooks" in done.stdout
        (after,) = pool.sessions()
        assert after["calls"] == before["calls"]


def test_wrong_token_is_told(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    done = examine(endpoint=pool.endpoint, token="wrong-token-of-mine", monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "front door")
    assert "does not accept the token: run 'az login', or renew REMOTE_KERNEL_TOKEN" in done.stdout


def test_no_pool_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = examine(endpoint=f"http://127.0.0.1:{port}", monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "connection")
    assert f"Nothing listens on port {port} of 127.0.0.1: check the port in REMOTE_KERNEL_ENDPOINT" in done.stdout


def test_wrong_port_with_another_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def greet(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")  # and waits for the client's own greeting

    with listening(greet) as endpoint:
        done = examine(endpoint=endpoint, monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "front door")
    assert "does not speak HTTP: check the port in REMOTE_KERNEL_ENDPOINT" in done.stdout


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("200 OK", "answers with a web page, and is no session pool"),
        ("302 Found", "answers with HTTP status 302, and is no session pool"),
        ("404 Not Found", "answers with HTTP status 404, and is no session pool"),
        ("503 Service Unavailable", "answers with HTTP status 503, and is no session pool"),
    ],
)
def test_web_page_is_told_from_a_pool(monkeypatch: pytest.MonkeyPatch, status: str, words: str) -> None:
    with listening(lambda connection: page(connection, status)) as endpoint:
        done = examine(endpoint=endpoint, monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "front door")
    assert words in done.stdout


def test_pool_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(lambda connection: None) as endpoint:
        done = examine("--timeout", 1, endpoint=endpoint, monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "front door")
    assert "took the connection, and did not answer within 1 s" in done.stdout
    assert DEFAULT_TIMEOUT_SECONDS < 10  # which leaves Python time to start, within 15 s


def test_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    done = examine(endpoint="https://pool.invalid", monkeypatch=monkeypatch)
    assert done.status == 1
    assert last_finding(done)[:2] == ("failed", "name")
    assert "pool.invalid" in done.stdout


def test_local_pool_is_started_for_the_check_and_stopped_again(
    private_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_command("doctor", "--no-session")
    assert (done.status, done.stderr) == (0, "")
    assert "the local pool at http://127.0.0.1:" in done.stdout
    assert "started for this check" in done.stdout
    assert not list((private_folders / "runtime").rglob("pool.json"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"REMOTE_KERNEL_SCOPE": "world"}, "REMOTE_KERNEL_SCOPE is 'world': use one of"),
        ({"REMOTE_KERNEL_IDENTITY_KEY": "short"}, "REMOTE_KERNEL_IDENTITY_KEY"),
        ({"REMOTE_KERNEL_ENDPOINT": "http://pool.example"}, "an Azure token is not sent over the network in the clear"),
        ({"JUPYTER_RUNTIME_DIR": __file__}, f"{__file__} cannot be written: make it yours, or set JUPYTER_RUNTIME_DIR"),
    ],
)
def test_what_is_wrong_on_this_machine_is_told_before_any_pool_is_asked(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run_command("doctor")
    assert done.status == 1
    assert last_finding(done)[0] == "failed"
    assert sentence in done.stdout


def test_settings_are_told_by_the_names_that_they_have(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_USER", "ada")
    done = examine("--no-session", endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
    (settings,) = [line for line in done.stdout.splitlines() if "settings" in line]
    assert settings.endswith("; set: REMOTE_KERNEL_USER")


def test_logs_that_cannot_be_written_are_noted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_LOG", f"{__file__}/logs")
    done = examine("--no-session", endpoint=pool.endpoint, token=pool.token, monkeypatch=monkeypatch)
    assert done.status == 0
    assert (
        f"note    folders        {__file__}/logs cannot be written, so there are no logs: make it yours" in done.stdout
    )


def test_pool_that_breaks_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)

    with listening(begin) as endpoint:
        done = examine(endpoint=endpoint, monkeypatch=monkeypatch)
    assert last_finding(done)[:2] == ("failed", "front door")
    assert "breaks off its answer, and is no session pool" in done.stdout


def test_endpoint_that_is_no_address_is_told() -> None:
    done = run_command("doctor", "--endpoint", "nonsense")
    assert done.status == 1
    assert "REMOTE_KERNEL_ENDPOINT is not a URL" in done.stdout


def test_damaged_key_is_told_and_left(private_folders: Path) -> None:
    key = private_folders / "data" / "remote-kernel" / "identity.key"
    key.parent.mkdir(parents=True)
    key.write_text("damaged")
    done = run_command("doctor")
    assert done.status == 1
    assert f"The identity key {key} is damaged: delete it" in done.stdout
    assert key.read_text() == "damaged"


def test_https_where_http_is_spoken_is_told(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    done = examine(endpoint=pool.endpoint.replace("http:", "https:"), monkeypatch=monkeypatch)
    assert done.status == 1
    assert "does not speak HTTPS: check the port in REMOTE_KERNEL_ENDPOINT, and whether it has to begin" in done.stdout


def test_check_that_is_ended_by_a_signal_gives_its_session_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start() as pool:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
        with start_command("doctor", "--timeout", "60") as process:
            wait_until(lambda: bool(pool.sessions()))
            process.send_signal(signal.SIGTERM)
            process.communicate()
        assert process.returncode == 143
        wait_until(lambda: not pool.sessions())


@pytest.mark.parametrize("limit", ['"5"', "[]", "null", "1e999"])
def test_pool_that_tells_no_number_has_no_room_to_tell_of(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'{{"sessions": [], "max_sessions": {limit}, "ready": 1, "cooldown_seconds": 300}}'.encode()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            connection.shutdown(socket.SHUT_WR)

    with listening(answer) as endpoint:
        done = examine("--no-session", endpoint=endpoint, monkeypatch=monkeypatch)
    assert "Traceback" not in done.stderr
    assert "sessions in use" not in done.stdout
