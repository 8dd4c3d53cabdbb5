"""Takes what an interpreter remembers of the code that it was sent: a cell that runs for hours takes thousands."""

import linecache
import sys
from typing import Any

BEGINNING = 'exec(__import__("zlib")'


def remove_traces() -> None:
    """Forget the cell that this is called from, two frames up; the number that it had is left."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython and ipython.get_ipython()
    if shell is None:
        return
    for inputs in (shell.history_manager.input_hist_raw, shell.history_manager.input_hist_parsed):
        if inputs and inputs[-1].startswith(BEGINNING):
            inputs[-1] = ""
    name = sys._getframe(2).f_code.co_filename
    linecache.cache.pop(name, None)
    getattr(shell.compile, "_filename_map", {}).pop(name, None)
