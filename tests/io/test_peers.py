"""Who is at the other end of a Unix socket."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from remote_kernel.io.http1 import Client, ConnectionBroke, NoConnection

pytestmark = pytest.mark.unix

LISTEN = """\
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listening", flush=True)
    connection, _ = listener.accept()
    print(len(connection.recv(100)), flush=True)
"""


async def ask(path: str) -> None:
    client = Client.unix(path, keepalive_seconds=1)
    try:
        await client.send(b"GET", b"/", [(b"host", b"pod")])
    finally:
        await client.aclose()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="nobody but root can be another user")
@pytest.mark.parametrize(("user", "failure", "hears"), [(0, ConnectionBroke, True), (65534, NoConnection, False)])
def test_nothing_is_sent_to_another_user_who_listens_where_a_pod_was(
    user: int, failure: type[Exception], hears: bool
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # where both may go
        Path(folder).chmod(0o777)
        command = [sys.executable, "-c", LISTEN, f"{folder}/s", str(user)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as listening:
            assert listening.stdout is not None
            assert listening.stdout.readline() == b"listening\n"
            with pytest.raises(failure):
                asyncio.run(ask(f"{folder}/s"))
            assert (int(listening.stdout.readline()) > 0) is hears
