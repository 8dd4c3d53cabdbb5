"""`python -m remote_kernel.pool`: the same program as `remote-kernel pool`."""

import argparse
import os
import sys

from remote_kernel.pool.options import add_options, options_from
from remote_kernel.pool.program import run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m remote_kernel.pool", description="Run a session pool on this machine."
    )
    add_options(parser)
    try:
        return run(options_from(parser.parse_args()), dict(os.environ))
    except BrokenPipeError:  # nobody reads where it listens
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest when it ends
        return 1


if __name__ == "__main__":
    sys.exit(main())
