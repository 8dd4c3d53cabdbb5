"""Drives real kernels and real pools from tests, as a front end and an operator would."""

import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
from jupyter_client import connect
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from tests.error_output import error_output
from tests.forks import CopyProvisioner, can_copy_kernels, start_copy

TIMEOUT_SECONDS = 60.0

OUTPUT_TYPES = {"stream", "display_data", "update_display_data", "execute_result", "error"}

Content = dict[str, Any]


def few_files(limit: int) -> Sequence[str]:
    """Return what comes before the command of a program that may not have more files open."""
    code = (
        "import os, resource, sys; limit = int(sys.argv[1]); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)); os.execv(sys.argv[2], sys.argv[2:])"
    )
    return sys.executable, "-c", code, str(limit)


@dataclass
class Pool:
    """A `remote-kernel pool` process."""

    endpoint: str
    token: str
    process: "subprocess.Popen[str]"

    @classmethod
    @contextmanager
    def start(cls, *options: str, stderr: IO[bytes] | None = None, prefix: Sequence[str] = ()) -> Iterator["Pool"]:
        """Start a pool, with no pods in advance unless `options` say so: most tests would not use the last of them."""
        ours = ["--port", "0", "--ready", "0", "--json"]
        command = [*prefix, sys.executable, "-m", "remote_kernel.pool", *ours, *options]
        with (
            _kept("pool", stderr) as kept,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=kept, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                fields = json.loads(process.stdout.readline())
                yield cls(fields["endpoint"], fields["token"], process)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(TIMEOUT_SECONDS)

    def environ(self, endpoint: str = "") -> dict[str, str]:
        """Return what leads a kernel to the pool, past whoever is at an endpoint before it."""
        return {"REMOTE_KERNEL_ENDPOINT": endpoint or self.endpoint, "REMOTE_KERNEL_TOKEN": self.token}

    def client(self) -> httpx.Client:
        """Return an HTTP client that holds the pool's token."""
        return httpx.Client(
            base_url=self.endpoint, headers={"authorization": f"Bearer {self.token}"}, timeout=TIMEOUT_SECONDS
        )

    def stop_session(self, identifier: str) -> None:
        """End a session, as its cooldown would; return when its pod has ended, which takes cells until it is told."""
        params = {"api-version": ApiVersion.V2025_10_02, "identifier": identifier}
        before = {session["pid"] for session in self.sessions()}
        with self.client() as client:
            client.post(STOP_SESSION_PATH, params=params).raise_for_status()
        stopped = before - {session["pid"] for session in self.sessions()} - {None}
        wait_until(lambda: not any(is_alive(pid) for pid in stopped))

    def sessions(self) -> list[Content]:
        """Return what the pool says of its sessions."""
        with self.client() as client:
            sessions: list[Content] = client.get("/.local/status").raise_for_status().json()["sessions"]
            return sessions


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]


# Front ends choose a kernel's ports before it binds them, among those that the system gives to connections, of which
# other tests make many meanwhile; a kernel that finds one taken cannot start. So these are below, and each process of a
# test run has some of its own.
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
FIRST_QUIET_PORT = 10_000
QUIET_PORTS = 2_000


def _find_quiet_ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    first = FIRST_QUIET_PORT + worker * QUIET_PORTS
    # Another run on this machine, or the one before, begins elsewhere: process ids of neighbours are far apart here.
    for number in itertools.count(os.getpid() * 389):
        port = first + number % QUIET_PORTS
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port


_quiet_ports = _find_quiet_ports()
_choosing = threading.Lock()


def kernel_manager(kernel_name: str, **options: Any) -> KernelManager:
    """Return a manager of a kernel with such ports."""
    with _choosing:
        ports = dict(zip(PORT_NAMES, _quiet_ports, strict=False))
    return KernelManager(kernel_name=kernel_name, cache_ports=False, **ports, **options)  # else it takes others


def write_connection_file(path: Path, **options: Any) -> None:
    """Write a connection file with such ports, as a front end does before it starts a kernel."""
    with _choosing:
        ports: dict[str, Any] = dict(zip(PORT_NAMES, _quiet_ports, strict=False))
    connect.write_connection_file(str(path), **ports, **options)


@contextmanager
def _kept(program: str, stderr: IO[bytes] | None) -> Iterator[int | IO[bytes]]:
    """Return where the standard error of `program` goes: where the test wants it, or where it is shown on failure."""
    if stderr is not None:
        yield stderr
        return
    with error_output.opened(program) as descriptor:
        yield descriptor


def run_in_pod(client: httpx.Client, code: str, **params: str) -> list[Content]:
    """Execute code through `/api/v2/execute` and return its messages."""
    response = client.post("/api/v2/execute", params=params, json={"code": code}).raise_for_status()
    return [json.loads(line) for line in response.text.splitlines()]


def stdout_of(messages: list[Content]) -> str:
    """Return what the cell printed."""
    return "".join(
        message["content"]["text"]
        for message in messages
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout"
    )


@dataclass
class Cell:
    """What became of one cell."""

    reply: Content
    messages: list[Content] = field(default_factory=list)

    def of_type(self, msg_type: str) -> list[Content]:
        return [message["content"] for message in self.messages if message["msg_type"] == msg_type]

    @property
    def stdout(self) -> str:
        return stdout_of(self.messages)

    @property
    def displayed(self) -> str:
        """The text of everything that was displayed, in order; of what was updated, as it was at last."""
        shown: dict[str, str] = {}
        for message in self.messages:
            if message["msg_type"] in {"display_data", "update_display_data"}:
                display_id = message["content"]["transient"].get("display_id", message["header"]["msg_id"])
                shown[display_id] = message["content"]["data"]["text/plain"]
        return "\n".join(shown.values())

    @property
    def result(self) -> str:
        """The text of the last expression."""
        (content,) = self.of_type("execute_result")
        return str(content["data"]["text/plain"])


def _is_answered(receive: Callable[..., Content], asked: str) -> bool:
    """Return whether a message about a request comes; those of a kernel that has ended may come before it."""
    with contextlib.suppress(queue.Empty):
        while receive(timeout=1)["parent_header"].get("msg_id") != asked:
            pass
        return True
    return False


class Notebook:
    """A kernel and a front end's client for it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient, resources: ExitStack) -> None:
        self.manager = manager
        self.client = client
        self._resources = resources
        self._replies: dict[str, Content] = {}

    @classmethod
    def start(
        cls,
        kernel_name: str = "remote",
        environ: Mapping[str, str] | None = None,
        *,
        stderr: IO[bytes] | None = None,
        receives: int | None = None,
        is_program: bool = False,
    ) -> "Notebook":
        """Start a kernel and connect to it.

        Args:
            stderr: where the kernel's standard error goes; `None` shows it when the test fails.
            receives: how many messages the client takes from the network before they are asked for.
            is_program: whether it is started as front ends do it; otherwise it may be a copy of one that was.
        """
        manager = kernel_manager(kernel_name)
        if kernel_name == "remote" and not is_program and can_copy_kernels(environ or {}):
            manager.provisioner = CopyProvisioner(kernel_id="", kernel_spec=manager.kernel_spec, parent=manager)
        with ExitStack() as stack:
            kept = stack.enter_context(_kept("kernel", stderr))  # until the last restart, which takes it once more
            manager.start_kernel(env={**os.environ, **(environ or {})}, stderr=kept)
            client = manager.blocking_client()
            if receives is not None:
                client.context.rcvhwm = receives
            client.start_channels()
            notebook = cls(manager, client, stack.pop_all())
        try:
            client.wait_for_ready(timeout=TIMEOUT_SECONDS)
        except BaseException as error:
            error.add_note(f"The kernel {notebook.describe()}.")
            notebook.close()
            raise
        return notebook

    def __enter__(self) -> "Notebook":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def describe(self) -> str:
        """Say what became of the kernel's process."""
        provisioner = self.manager.provisioner
        status = provisioner.process.poll() if isinstance(provisioner, LocalProvisioner) and provisioner.process else 0
        return "is running" if status is None else f"has ended with exit status {status}"

    def wait_answers(self) -> None:
        """Wait for a kernel that may be starting, also one that is not the manager's own.

        `wait_for_ready` gives up after a second there, and takes what an earlier kernel has said for its answer.
        It has answered when it is heard on iopub, too, whose socket may come back later than the others.
        """

        def has_answered() -> bool:
            asked = self.client.kernel_info()
            return _is_answered(self.client.get_shell_msg, asked) and _is_answered(self.client.get_iopub_msg, asked)

        wait_until(has_answered)

    @property
    def pid(self) -> int:
        provisioner = self.manager.provisioner
        assert isinstance(provisioner, LocalProvisioner)
        assert provisioner.pid is not None
        return provisioner.pid

    def run(
        self,
        code: str,
        *,
        on_message: Callable[[Content], None] | None = None,
        answer: str | None = None,
        allow_stdin: bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
        **options: Any,
    ) -> Cell:
        """Run a cell to its end, as a person does; `answer` is typed into its input prompts.

        Args:
            allow_stdin: whether there is a person; what executes notebooks by itself allows no input.
            timeout_seconds: how long its output and its end may take.
        """
        messages: list[Content] = []

        def collect(message: Content) -> None:
            if message["msg_type"] == "clear_output" and not message["content"]["wait"]:
                # As every front end does: this is how the line goes that was shown while the session started.
                messages[:] = [shown for shown in messages if shown["msg_type"] not in OUTPUT_TYPES]
            messages.append(message)
            if on_message is not None:
                on_message(message)

        def type_answer(_message: Content) -> None:
            if answer is not None:  # otherwise it is the prompt of a cell that was interrupted, which nobody answers
                self.client.input(answer)

        reply = self.client.execute_interactive(
            code,
            output_hook=collect,
            stdin_hook=type_answer,
            allow_stdin=allow_stdin,
            timeout=timeout_seconds,
            **options,
        )
        return Cell(reply=reply["content"], messages=messages)

    def reply_to(self, msg_id: str) -> Content:
        """Wait for the reply to a request on shell or control; replies to others are kept for who asks for them."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while msg_id not in self._replies and time.monotonic() < deadline:
            for channel in (self.client.shell_channel, self.client.control_channel):
                try:
                    message = channel.get_msg(timeout=0.05)
                except queue.Empty:
                    continue
                self._replies[message["parent_header"].get("msg_id", "")] = message["content"]
        assert msg_id in self._replies, f"no reply to {msg_id}"
        return self._replies.pop(msg_id)

    def request(self, channel: str, msg_type: str, content: Content, **header: str) -> Content:
        """Send a request that jupyter_client has no method for, and return the content of its reply."""
        return self.reply_to(self.send(channel, msg_type, content, **header))

    def send(self, channel: str, msg_type: str, content: Content, **header: str) -> str:
        """Send a message and return its id."""
        message = self.client.session.msg(msg_type, content)
        message["header"].update(header)
        getattr(self.client, f"{channel}_channel").send(message)
        return str(message["header"]["msg_id"])

    def wait_iopub(self, is_wanted: Callable[[Content], bool]) -> Content:
        """Return the first iopub message that is wanted, passing over others."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                message: Content = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if is_wanted(message):
                return message
        raise AssertionError("the message did not come")

    def close(self) -> None:
        """Shut down as a front end does."""
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()
        self.manager.context.destroy(linger=0)
        self._resources.close()


def wait_until(is_true: Callable[[], bool], *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait for something of which no event tells."""
    deadline = time.monotonic() + timeout_seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@dataclass
class Pod:
    """A pod's agent, without a pool before it."""

    endpoint: str
    scratch: Path

    @classmethod
    @contextmanager
    def fork(cls, scratch: Path) -> Iterator["Pod"]:
        """Start one as the local pool does, which also gives it interpreters in less time; see `PodProgram.start`."""
        arguments = ["remote_kernel.pod", *_pod_options(scratch)]
        with (
            error_output.opened("pod") as kept,
            start_copy("remote_kernel.pod.fork_server", arguments, environ=os.environ, stderr=kept) as copy,
        ):
            yield cls(_endpoint(copy.stdout), scratch)


@dataclass
class PodProgram(Pod):
    """An agent that was started as a program, and what it starts as well."""

    process: "subprocess.Popen[str]"

    @classmethod
    @contextmanager
    def start(
        cls,
        scratch: Path,
        *options: str,
        stderr: IO[bytes] | None = None,
        prefix: Sequence[str] = (),
        **environ: str,
    ) -> Iterator["PodProgram"]:
        """Start a pod whose files go to `scratch`, a folder with a short path."""
        command = [*prefix, sys.executable, "-m", "remote_kernel.pod", *_pod_options(scratch), *options]
        with (
            _kept("pod", stderr) as kept,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=kept,
                text=True,
                env={**os.environ, **environ},
            ) as process,
        ):
            try:
                assert process.stdout is not None
                yield cls(_endpoint(process.stdout), scratch, process)
            finally:
                process.communicate(timeout=TIMEOUT_SECONDS)  # ends its input, and so the pod


def _pod_options(scratch: Path) -> list[str]:
    return ["--port", "0", "--supervised", "--scratch", str(scratch), "--data", str(scratch / "data")]


def _endpoint(stdout: IO[str]) -> str:
    return f"http://127.0.0.1:{json.loads(stdout.readline())['port']}"
