"""`python -m remote_kernel -f CONNECTION_FILE`: the local kernel, as the kernelspec starts it."""

import sys

from remote_kernel.kernel.app import main

if __name__ == "__main__":
    sys.exit(main())
