"""Takes files and processes away from an interpreter: run by it as it starts, see `--sandbox strict`.

Some sandboxes have no folder that can be written and let no program be started. This makes one of that kind out of any
machine, for whoever has to get along there: audit hooks (PEP 578) cannot be removed, and refuse as the system would.
It is a likeness, no protection: code that calls the system without Python is not stopped.
"""


def _lock() -> None:
    import _posixsubprocess
    import errno
    import os
    import sys
    import tempfile

    processes = {
        "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn",
    }  # fmt: skip
    changes = {
        "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
        "os.chown", "os.utime", "os.setxattr", "os.removexattr",
    }  # fmt: skip
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def refuse_process(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def is_write(path: object, flags: object) -> bool:
        is_file = isinstance(path, str | bytes | os.PathLike) and not os.fsdecode(path).startswith("/dev/")
        return is_file and isinstance(flags, int) and bool(flags & writing)

    def refuse(event: str, args: tuple[object, ...]) -> None:
        if event in processes:
            refuse_process()
        if event in changes or (event == "open" and is_write(args[0], args[2])):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), args[0])

    # The kernel names its cells after this folder, which is looked for by writing; it is remembered.
    tempfile.gettempdir()
    # What `multiprocessing` starts its processes with is not audited.
    _posixsubprocess.fork_exec = refuse_process  # type: ignore[assignment]
    sys.addaudithook(refuse)


_lock()
del _lock  # nothing of this is left among the user's variables
