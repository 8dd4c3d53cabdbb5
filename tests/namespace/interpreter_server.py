"""Has IPython loaded, and is copied for each interpreter of a test, as the local pool's interpreters are."""

import os
import socket

import IPython.core.interactiveshell  # noqa: F401

import remote_kernel.namespace  # noqa: F401
from remote_kernel.io.system.forking import Loaded, prepare_to_fork, serve
from tests.namespace.interpreter import main

if __name__ == "__main__":
    prepare_to_fork()
    if serve(socket.socket(fileno=os.dup(0)), Loaded([])) is not None:
        main()
