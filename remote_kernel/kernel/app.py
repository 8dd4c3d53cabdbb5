"""The local kernel's process: from the command line to the last message.

A front end tries to connect as soon as it has started the process, and then, as ZeroMQ does it, every tenth of a second
or two. So this binds the sockets first; the rest is loaded while nobody could be heard anyway.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.sockets import Sockets
from remote_kernel.kernel.parent import find_parent


def main(argv: list[str] | None = None) -> int:
    """Run the kernel; returns the exit status."""
    connection_file = _parse_arguments(sys.argv[1:] if argv is None else argv)
    environ = dict(os.environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is something to interrupt
    try:
        connection = Connection.read(connection_file)
        sockets = Sockets.bind(connection)
        parent = find_parent(environ)
        from remote_kernel.io.system.event_loop import run_in_loop  # late, see above
        from remote_kernel.kernel.serving import serve

        _collect_no_more_of_what_is_loaded()
        return run_in_loop(serve(connection, sockets, parent, environ))
    except RemoteKernelError as error:
        print(f"remote-kernel: {error}", file=sys.stderr)
        from remote_kernel.kernel.own_log import log_refusal

        log_refusal(connection_file, environ, error)
        return 2
    except Exception as error:
        from remote_kernel.kernel.defects import report_defect

        report_defect(error)
        return 1


def _collect_no_more_of_what_is_loaded() -> None:
    """Have the garbage collector, which `__main__` holds back, look at what is made from now on alone."""
    gc.freeze()
    gc.enable()


def _parse_arguments(argv: Sequence[str]) -> Path:
    """Return the connection file that the command line names."""
    if len(argv) == 2 and argv[0] == "-f":  # as every front end has it
        return Path(argv[1])
    import argparse  # late, as every start of a kernel waits for imports

    parser = argparse.ArgumentParser(
        prog="python -m remote_kernel",
        description="A Jupyter kernel whose cells run in a remote session; front ends start it.",
    )
    parser.add_argument("-f", metavar="FILE", dest="connection_file", type=Path, required=True, help="connection file")
    connection_file: Path = parser.parse_known_args(argv)[0].connection_file
    return connection_file
