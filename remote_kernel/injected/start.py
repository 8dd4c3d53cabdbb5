"""Starts the agent beside this interpreter, unless it is there already."""

import base64
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


class Impossible(Exception):
    """There can be no agent here; the text says why."""


def main(argument: dict[str, Any]) -> None:
    """Print "started", or, after "impossible ", the reason in base64."""
    mark = argument["mark"]
    try:
        start(argument)
        answer = "started"
    except (Impossible, OSError) as error:
        answer = f"impossible {base64.b64encode(str(error).encode()).decode()}"
    sys.stdout.write(f"{mark}({answer}){mark}\n")
    sys.stdout.flush()


def start(argument: dict[str, Any]) -> None:
    if sys.version_info < tuple(argument["python"]):
        raise Impossible(f"its Python is {sys.version.split()[0]}")
    try:
        import fcntl
    except ImportError:
        raise Impossible("its system is none that an agent runs on") from None
    folder = make_folder(argument["folder"])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several kernels may come at the same time
        if not is_listening(folder):
            (folder / "agent.pyz").write_bytes(base64.b64decode(argument["archive"]))
            launch(folder, argument["seconds"])


def make_folder(name: str) -> Path:
    """Return the agent's folder, made so that nobody else on this machine can enter it."""
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise Impossible("its temporary folder is not its own")
    return folder


def is_listening(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(folder / "s")) == 0


def launch(folder: Path, seconds: float) -> None:
    data = Path("/mnt/data")
    cwd = data if os.access(data, os.W_OK) else Path.cwd()
    with (folder / "log").open("wb") as log:
        # In a session of its own, it outlives the execution, and this interpreter.
        process = subprocess.Popen(
            [sys.executable, "-P", str(folder / "agent.pyz"), "--folder", str(folder), "--data", str(cwd)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=cwd,
            start_new_session=True,
        )
    ends_at = time.monotonic() + seconds
    while not is_listening(folder):
        if process.poll() is not None:
            lines = (folder / "log").read_text(errors="replace").split("\n")
            raise Impossible(next(filter(None, reversed(lines)), f"its agent ended with status {process.returncode}"))
        if time.monotonic() > ends_at:
            process.kill()
            raise Impossible(f"its agent was not ready after {seconds:g} s")
        time.sleep(0.02)
