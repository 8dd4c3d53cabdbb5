"""Signals in an event loop, also in one that has no handlers for them, as Windows' has none."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FrameType

Handler = Callable[[], object]

# What asks a program to end. A closed terminal says SIGHUP; on Windows, Ctrl-Break says SIGBREAK.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
STOPPING: tuple[int, ...] = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
HANGUP: int = getattr(signal, "SIGHUP", 0)


def wanted() -> list[int]:
    """Return the signals that ask this program to end, but for those that are ignored, as `nohup` has SIGHUP."""
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def handling(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Have signals call functions in the running event loop; must be used in the main thread.

    Afterwards they do what they did before.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in handlers}
    try:
        with _handling(loop, handlers):
            yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextlib.contextmanager
def _handling(loop: asyncio.AbstractEventLoop, handlers: Mapping[int, Handler]) -> Iterator[None]:
    try:
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
    except NotImplementedError:
        with _handling_without_the_loop(loop, handlers):
            yield
        return
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _handling_without_the_loop(loop: asyncio.AbstractEventLoop, handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Do so with Python's handlers, which run when the main thread does."""

    def handle(handler: Handler, _number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(handler)

    with waking_up(loop):
        for number, handler in handlers.items():
            signal.signal(number, partial(handle, handler))
        yield


@contextlib.contextmanager
def waking_up(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have each signal wake up a loop that knows none, so that Python's handlers run; must be used in the main thread.

    On Windows, a signal arrives in a thread of its own and does not end the main thread's wait for sockets.
    """
    receiving, sending = socket.socketpair()
    with receiving, sending:
        receiving.setblocking(False)
        sending.setblocking(False)
        loop.add_reader(receiving, partial(_drain, receiving))
        before = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(receiving)


def _drain(receiving: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        receiving.recv(4096)
