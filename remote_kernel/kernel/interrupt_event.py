"""Windows' way of interrupting a kernel: an event that the front end sets, where others send SIGINT.

Source: `JPY_INTERRUPT_EVENT` in `jupyter_client.launcher` and `jupyter_client.win_interrupt`: a handle that the kernel
inherits, of an event that is reset by whoever has waited for it. Front ends use it where somebody has changed the
kernelspec's `interrupt_mode`.
"""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Mapping

from remote_kernel.kernel.parent import parse_handle

VARIABLE = "JPY_INTERRUPT_EVENT"


def watch_interrupt_event(environ: Mapping[str, str], on_interrupt: Callable[[], object]) -> None:
    """Call a function in the running event loop each time that the event is set, for as long as this process lives."""
    if sys.platform == "win32":
        handle = parse_handle(environ.get(VARIABLE, ""))
        loop = asyncio.get_running_loop()
        if handle:
            # Nothing ends a wait: the thread ends with the process.
            threading.Thread(target=_watch, args=(handle, loop, on_interrupt), daemon=True).start()


if sys.platform == "win32":

    def _watch(handle: int, loop: asyncio.AbstractEventLoop, on_interrupt: Callable[[], object]) -> None:
        from remote_kernel.io.system.processes import wait_event

        with contextlib.suppress(OSError, RuntimeError):  # it is no event; the loop has been closed
            while True:
                wait_event(handle)
                loop.call_soon_threadsafe(on_interrupt)
