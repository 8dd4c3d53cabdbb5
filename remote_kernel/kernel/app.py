"""The local kernel's process: from the command line to the last message.

A front end tries to connect as soon as it has started the process, and then, as ZeroMQ does it, every tenth of a second
or two. So this binds the sockets first; the rest is loaded while nobody could be heard anyway.
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.io.system.event_loop import run_in_loop
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.parent import find_parent


async def run(connection_file: Path, environ: Mapping[str, str]) -> int:
    """Serve one connection file until a shutdown request, a signal that asks for it, or the end of the parent process.

    Args:
        environ: variables of this process.

    Returns the exit status.
    """
    connection = Connection.read(connection_file)
    channels = Channels(connection)
    channels.bind()
    parent = find_parent(environ)
    from remote_kernel.kernel.serving import serve  # late, see above

    return await serve(connection, channels, parent, environ)


def main(argv: list[str] | None = None) -> int:
    """Run the kernel; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m remote_kernel",
        description="A Jupyter kernel whose cells run in a remote session; front ends start it.",
    )
    parser.add_argument("-f", metavar="FILE", dest="connection_file", type=Path, required=True, help="connection file")
    arguments, _ = parser.parse_known_args(argv)
    environ = dict(os.environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until there is something to interrupt
    try:
        return run_in_loop(run(arguments.connection_file, environ))
    except RemoteKernelError as error:
        print(f"remote-kernel: {error}", file=sys.stderr)
        from remote_kernel.kernel.own_log import log_refusal

        log_refusal(arguments.connection_file, environ, error)
        return 2
    except Exception as error:
        from remote_kernel.kernel.defects import report_defect

        report_defect(error)
        return 1
