"""Fork server of a local pool's pods: has the agent and IPython's kernel loaded, and is copied for each pod.

A pod is two copies: the agent, and beside it a fork server of its own, of which the agent has its interpreters. That
one is a child of the agent's, so that it ends with the agent, and the interpreters with it, wherever they are.
"""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from remote_kernel.io.system.fork_server import ForkServer, Job
from remote_kernel.io.system.forking import Loaded, package_folders, prepare_to_fork, serve
from remote_kernel.pod.environment import OF_INTERPRETERS

# Where it is started, so that nobody's files are in the way of a module's.
_FOLDER = "/"

# The way to whoever asks for pods is the standard input.
_STDIN = 0


def main() -> int:
    """Be the server until nobody asks any more; returns the exit status, in each copy its own."""
    sys.path[:] = [path for path in sys.path if path != _FOLDER]
    os.environ.update(OF_INTERPRETERS)  # some of it is read when a module is imported
    loaded = Loaded(package_folders())
    of_interpreters = _load_interpreter()
    run_agent = _load_agent()
    prepare_to_fork()
    connection = socket.socket(fileno=os.dup(_STDIN))
    _close_standard_streams(keeps_errors=True)
    job = serve(connection, loaded)
    return 0 if job is None else _be_pod(job, loaded, of_interpreters, run_agent)


def _load_interpreter() -> frozenset[str]:
    """Import what IPython's kernel does, and return the names of all modules that there are then."""
    from ipykernel import ipkernel, kernelapp, zmqshell  # noqa: F401

    return frozenset(sys.modules)


def _load_agent() -> Callable[[Sequence[str], ForkServer], int]:
    from remote_kernel.pod.__main__ import main as run_agent

    return run_agent


def _be_pod(
    job: Job, loaded: Loaded, of_interpreters: frozenset[str], run_agent: Callable[[Sequence[str], ForkServer], int]
) -> int:
    ours, of_server = socket.socketpair()
    server = os.fork()
    if server == 0:
        ours.close()
        _end_with_parent()
        _close_standard_streams(keeps_errors=False)
        asked = serve(of_server, loaded)
        return 0 if asked is None else _be_interpreter(of_interpreters)
    of_server.close()
    try:
        return run_agent(job.arguments[1:], ForkServer(ours))
    finally:
        ours.close()
        os.waitpid(server, 0)  # as process 1 of a container may wait for nobody


def _be_interpreter(modules: frozenset[str]) -> int:
    """Do what `python -m ipykernel_launcher` does."""
    for name in [name for name in sys.modules if _is_of_agent(name, modules)]:
        del sys.modules[name]  # a notebook may have others installed, and import those
    launcher = find_spec("ipykernel_launcher")
    assert launcher is not None
    assert launcher.origin is not None
    sys.orig_argv[:] = [sys.executable, "-m", *sys.argv]
    sys.argv[0] = launcher.origin
    from ipykernel import kernelapp

    # The kernel looks whether its parent is there, which is the fork server.
    kernelapp.launch_new_instance([*sys.argv[1:], f"--IPKernelApp.parent_handle={os.getppid()}"])
    return 0


def _is_of_agent(module: str, of_interpreters: frozenset[str]) -> bool:
    """Return whether a module is here for the agent alone; those of Python's own library do no harm."""
    package = module.partition(".")[0]
    return package == "remote_kernel" or not (module in of_interpreters or package in sys.stdlib_module_names)


def _end_with_parent() -> None:
    """Have the system end this process when its parent ends."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL.value)  # prctl(2), PR_SET_PDEATHSIG


def _close_standard_streams(*, keeps_errors: bool) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1) if keeps_errors else (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
