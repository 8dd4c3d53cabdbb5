"""Makes the interpreter that runs it ready for a pod; see `pod.interpreters.readiness`.

`main` is sent as text, needs Python's own library and IPython only, and leaves no name behind.
"""

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Any

# The system takes 208 KB at once otherwise, on macOS less, and for ZeroMQ there is no option: of a large message each
# such piece would wake who reads, and then who writes.
SEND_BUFFER_BYTES = 1024 * 1024

# Lines of the history are written so long after a cell has begun, by which most have ended.
HISTORY_SECONDS = 1.0

# As many ports are tried for the debugger.
DEBUGGER_PORTS = 3


def widen(sockets: str) -> None:
    """Have the system take large messages in fewer pieces on this process's connections to such Unix sockets.

    Args:
        sockets: how the sockets' paths begin.
    """
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        with contextlib.suppress(OSError):  # it is gone again, or no connection
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as connection:
                    ends = connection.getsockname(), connection.getpeername()
                    if any(str(end).startswith(sockets) for end in ends):
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def heed_interrupts(shell: Any) -> None:
    """Have interrupts end cells that run in the event loop at once."""
    import asyncio
    import signal
    import threading

    def wake_by_interrupts() -> None:
        """Have an interrupt wake the event loop, where the cell that begins runs in it.

        ipykernel's handler for such cells (`_cancel_on_sigint`, since 6.0) asks tornado for a callback, which has asked
        asyncio for one with `call_soon` since its 6.2: that does not end the loop's wait for something to happen, nor
        does a signal (PEP 475). So `await asyncio.sleep(60)` is cancelled when it is over.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        handler: Any = signal.getsignal(signal.SIGINT)
        if getattr(handler, "__module__", "") != "ipykernel.ipkernel":
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, frame: Any) -> None:
            handler(number, frame)
            loop.call_soon_threadsafe(int)

        signal.signal(signal.SIGINT, handle)  # which ipykernel takes back behind the cell

    shell.events.register("pre_execute", wake_by_interrupts)


def write_history_later(shell: Any) -> None:
    """Have the lines of the history written that IPython would write while the cell runs."""
    import threading

    is_about_to_write = False

    def write_history() -> None:
        nonlocal is_about_to_write
        is_about_to_write = False
        with contextlib.suppress(Exception):  # as of IPython's own thread, it costs the lines and no cell
            shell.history_manager.writeout_cache()

    def write_history_soon() -> None:
        nonlocal is_about_to_write
        if not is_about_to_write:
            is_about_to_write = True
            timer = threading.Timer(HISTORY_SECONDS, write_history)
            timer.daemon = True
            timer.start()

    shell.events.register("pre_run_cell", lambda _info: write_history_soon())


def start_debugger_on_another_port(shell: Any) -> None:
    """Have the debugger start on another port when somebody has taken the one that it has chosen.

    ipykernel finds a free port, and debugpy's process listens there some tenths of a second later (`get_host_port` in
    its debugger.py). The system may have given the port to a connection by then; it stays taken for a minute behind the
    connection's end, and ipykernel never chooses another.
    """
    debugger = getattr(shell.kernel, "debugger", None)
    if debugger is None:  # debugpy is not installed
        return
    start_once, client = debugger.start, debugger.debugpy_client

    def start() -> bool:
        for _ in range(DEBUGGER_PORTS - 1):
            if start_once():
                return True
            client.disconnect_tcp_socket()
            client.debugpy_port = -1  # it chooses anew
        return bool(start_once())

    debugger.start = start


def main(argument: dict[str, Any]) -> None:
    """Have the system end this interpreter with its agent, keep all that it publishes, heed each interrupt, answer at
    once, write its history a little later, and start its debugger though its port is taken.

    Args:
        argument: `sockets`: how the paths of the kernel's sockets begin; "" where they are none.
    """
    import ctypes
    import signal
    import sys

    # ipykernel looks every second whether its parent is there, which it cannot while the agent holds it: if the agent
    # is killed then, it would stand there for ever. On Linux the system ends it, too (prctl(2), PR_SET_PDEATHSIG).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL.value)

    if argument["sockets"]:
        widen(argument["sockets"])

    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()

    # What ipykernel publishes while nobody reads is dropped from 1,000 messages on, and there is no setting for it. But
    # the thread that owns the socket may be asked, also for a connection that is there.
    thread = shell.kernel.iopub_thread
    thread.schedule(lambda: thread.socket.set_hwm(0))

    # At the end of each cell ipykernel waits for half a millisecond, so that what was published is heard ahead of the
    # reply (kernelbase.py, `execute_request`). The agent puts them in this order itself (`pod.kernels.held_replies`).
    if shell.kernel.has_trait("_execute_sleep"):
        shell.kernel.set_trait("_execute_sleep", 0.0)

    heed_interrupts(shell)
    write_history_later(shell)
    start_debugger_on_another_port(shell)
