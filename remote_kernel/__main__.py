"""`python -m remote_kernel -f CONNECTION_FILE`: the local kernel, as the kernelspec starts it."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # until all is loaded, as that stays
    if not sys.flags.safe_path:
        del sys.path[0]  # the notebook's folder, whose `random.py` is meant for the notebook and not for us
    from remote_kernel.kernel.app import main

    sys.exit(main())
