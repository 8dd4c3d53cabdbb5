"""Hands one exchange to the agent beside this interpreter, and prints what it answers."""

import base64
import contextlib
import os
import socket
import sys
import tempfile
from typing import Any


def main(argument: dict[str, Any]) -> None:
    """Print the answer, or "absent" when there is no agent."""
    mark = argument["mark"]
    sys.stdout.write(f"{mark}({hand_on(argument)}){mark}\n")
    sys.stdout.flush()


def hand_on(argument: dict[str, Any]) -> str:
    for name in argument["unread"]:
        remove(name)
    if not hasattr(socket, "AF_UNIX"):
        return "absent"
    data = take_file(argument["file"]) if "file" in argument else base64.b64decode(argument["exchange"])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(argument["seconds"])
        try:
            connection.connect(os.path.join(tempfile.gettempdir(), argument["folder"], "s"))  # noqa: PTH118
        except OSError:
            return "absent"
        connection.sendall(b"%d\n" % argument["max_chars"])
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()


def take_file(name: str) -> bytes:
    """Return what was uploaded because it is too large for an execution, and remove it."""
    path = next(filter(os.path.exists, places(name)))
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read()
    remove(name)
    return data


def remove(name: str) -> None:
    for path in places(name):
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108


def places(name: str) -> tuple[str, str]:
    """Return where an upload may be: in Azure's folder, or in a local pool's."""
    return os.path.join("/mnt/data", name), name  # noqa: PTH118
