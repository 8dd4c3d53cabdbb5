"""Programs of ours that an interpreter runs: modules that are sent as text, and leave no name behind."""

import base64
import inspect
import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_CALL = (
    'exec(__import__("base64").b64decode("{source}"), '
    '{{"argument": __import__("json").loads(__import__("base64").b64decode("{argument}"))}})'
)

_VALUE = (
    '(lambda scope: (exec(__import__("base64").b64decode("{source}"), scope), scope["value"])[1])'
    '({{"argument": __import__("json").loads(__import__("base64").b64decode("{argument}"))}})'
)

# The cell that this is called from is in tracebacks of its own only.
_FORGET_CELL = """
import linecache, sys
linecache.cache.pop(sys._getframe(1).f_code.co_filename, None)
"""


def call_main(module: ModuleType, argument: Mapping[str, Any]) -> str:
    """Return code that calls a module's `main`; the module may need what every interpreter has, and nothing of ours."""
    source = f"{inspect.getsource(module)}\nmain(argument)\n{_FORGET_CELL}"
    return _CALL.format(source=_in_base64(source), argument=_in_base64(json.dumps(argument)))


def value_of_main(module: ModuleType, argument: Mapping[str, Any]) -> str:
    """Return an expression whose value is what a module's `main` returns; see `call_main`."""
    source = f"{inspect.getsource(module)}\nvalue = main(argument)\n"
    return _VALUE.format(source=_in_base64(source), argument=_in_base64(json.dumps(argument)))


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
