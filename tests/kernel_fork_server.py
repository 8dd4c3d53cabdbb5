"""Fork server of local kernels: has loaded what the kernel's program does, and is copied for each kernel of a test."""

import os
import socket
import sys

from remote_kernel.io.system.forking import Loaded, package_folders, prepare_to_fork, serve
from remote_kernel.kernel import app, serving  # noqa: F401 - the latter is loaded late, as a program's start counts


def main() -> int:
    """Be the server until nobody asks any more; returns the exit status, in each copy that of its kernel."""
    prepare_to_fork()
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    job = serve(connection, Loaded(package_folders()))
    return 0 if job is None else app.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
