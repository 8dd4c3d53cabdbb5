"""`python -m remote_kernel.cli`: the `remote-kernel` command where no script is installed."""

import sys

from remote_kernel.cli import main

sys.exit(main())
