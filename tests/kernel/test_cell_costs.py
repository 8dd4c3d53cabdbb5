"""How much the kernel does for one cell, counted: what time it takes depends on what else the machine does."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire.frames import Channel
from tests.counting import cost_of_one, counting
from tests.driver import TIMEOUT_SECONDS, write_connection_file
from tests.kernel.scripted_pod import ScriptedPod

CELLS = 60

# For a cell whose kernel says that it has begun in one piece, and that it has ended in another: the turns of the event
# loop in which the cell comes and is sent, is accepted, and in which the two pieces come.
MAX_TURNS = 4
# To the pod; what goes to the front end is ZeroMQ's.
MAX_WRITES = 1
# Of functions in Python and C: 1,160 with CPython 3.11, and some more where the answer and a piece come apart.
MAX_CALLS = 1_260


def run(folder: Path) -> dict[str, float]:
    """Return what a kernel counts that runs cells, for one of them."""
    connection_file, counts = folder / "c.json", folder / "counts.json"
    write_connection_file(connection_file, key=b"key")
    with ScriptedPod.serve() as pod:
        environ = {
            **os.environ, "REMOTE_KERNEL_ENDPOINT": pod.endpoint, "REMOTE_KERNEL_TOKEN": "t",
            "REMOTE_KERNEL_IDENTIFIER": "counted",
        }  # fmt: skip
        command = [*counting(counts, "SendQueue.accepted", "remote_kernel"), "-f", str(connection_file)]
        with subprocess.Popen(command, env=environ) as kernel:
            client = BlockingKernelClient(connection_file=str(connection_file))
            client.load_connection_file()
            client.start_channels(hb=False)
            client.wait_for_ready(TIMEOUT_SECONDS)
            for _ in range(CELLS):
                run_cell(client, pod)
            client.shutdown()
            kernel.wait(TIMEOUT_SECONDS)
            client.stop_channels()
    return cost_of_one(counts)


def run_cell(client: BlockingKernelClient, pod: ScriptedPod) -> None:
    """Go on only when what was sent has come, so that there is one way in which it can go."""
    msg_id = client.execute("pass", allow_stdin=False)
    header = pod.accept().parts[0]

    def said(channel: Channel, msg_type: str, **content: object) -> tuple[Channel, tuple[bytes, ...]]:
        return channel, author.write(msg_type, content, parent=header, date=datetime.now(UTC))

    author = Author(msg_id)
    pod.say(
        said(Channel.IOPUB, "status", execution_state="busy"),
        said(Channel.IOPUB, "execute_input", code="pass", execution_count=1),
    )
    hear(client, msg_id, "execute_input")
    pod.say(
        said(Channel.SHELL, "execute_reply", status="ok", execution_count=1),
        said(Channel.IOPUB, "status", execution_state="idle"),
    )
    hear(client, msg_id, "status")
    client.get_shell_msg(timeout=TIMEOUT_SECONDS)


def hear(client: BlockingKernelClient, msg_id: str, msg_type: str) -> None:
    """Return behind the next message of this type about this cell, which is idle where it is a status."""
    while True:
        message = client.get_iopub_msg(timeout=TIMEOUT_SECONDS)
        is_begin = message["content"].get("execution_state") == "busy"
        if message["parent_header"].get("msg_id") == msg_id and message["msg_type"] == msg_type and not is_begin:
            return


@pytest.fixture(scope="module")
def of_a_cell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return run(tmp_path_factory.mktemp("counted"))


@pytest.mark.parametrize(("name", "most"), [("turns", MAX_TURNS), ("writes", MAX_WRITES), ("calls", MAX_CALLS)])
def test_a_cell_takes_no_more_than_it_must(of_a_cell: dict[str, float], name: str, most: float) -> None:
    assert of_a_cell[name] <= most, of_a_cell
