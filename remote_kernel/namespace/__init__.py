"""Program that takes a notebook's variables apart and puts them together again, inside the notebook's own interpreter.

It is sent to the pod as an archive, under another name, and needs Python 3.9, IPython, and what comes with the archive.
"""

import json
from typing import Any

# One for each shell: it knows the children that it has started.
_programs: dict[int, Any] = {}


def call(name: str, arguments: str) -> str:
    """Return the answer to a call, in JSON, as are its arguments; what has failed has one sentence as its `problem`.

    Calls are "save", "cancel", "restore", "compare" and "changed".
    """
    from IPython.core.getipython import get_ipython

    from remote_kernel.namespace.calls import Program
    from remote_kernel.namespace.pickling.refusals import shown

    shell = get_ipython()
    program = _programs.setdefault(id(shell), Program(shell))
    calls = program.save, program.cancel, program.restore, program.compare, program.changed
    try:
        return json.dumps({each.__name__: each for each in calls}[name](**json.loads(arguments)))
    except Exception as error:
        return json.dumps({"problem": f"The call {name!r} has failed: {shown(error)}"})
