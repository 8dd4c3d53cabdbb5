"""Other processes: whether they live, and Windows' handles of them."""

import os
import sys

if sys.platform == "win32":
    import _winapi
    import ctypes

    _ANYBODY_GONE = 87  # ERROR_INVALID_PARAMETER: there is no process of that number

    def lives(pid: int) -> bool:
        """Return whether there is a process of that number; what the system does not tell counts as one."""
        try:
            handle = open_process(pid)
        except OSError as error:
            return error.winerror != _ANYBODY_GONE
        try:
            return not has_ended(handle)
        finally:
            _winapi.CloseHandle(handle)

    def open_process(pid: int) -> int:
        """Return a handle of a process, which keeps its number from being anybody else's. Raises `OSError`."""
        return _winapi.OpenProcess(_winapi.SYNCHRONIZE, False, pid)

    def has_ended(handle: int) -> bool:
        """Return whether the process has ended that a handle is of. Raises `OSError`."""
        return _winapi.WaitForSingleObject(handle, 0) == _winapi.WAIT_OBJECT_0

    def process_of(handle: int) -> int:
        """Return the number of the process that a handle is of; 0 where it is of none."""
        return int(ctypes.WinDLL("kernel32").GetProcessId(ctypes.c_void_p(handle)))

    def wait_event(handle: int) -> None:
        """Block this thread until somebody sets an event. Raises `OSError`."""
        _winapi.WaitForSingleObject(handle, _winapi.INFINITE)

else:

    def lives(pid: int) -> bool:
        """Return whether there is a process of that number; what the system does not tell counts as one."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
