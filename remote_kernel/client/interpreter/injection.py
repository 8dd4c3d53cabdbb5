"""Code injected into a pod's built-in interpreter: a fixed program, an argument that is data, an answer.

Nothing of it is left in the interpreter: the code runs in a namespace of its own, as an expression without a value, and
removes itself from the history.
"""

import base64
import json
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files

# Characters of an output beside the answer: the two marks.
MARK_CHARS = 64

_CODE = """\
exec(__import__("zlib").decompress(__import__("base64").b64decode("{source}")), {{"argument": "{argument}"}})
"""

_CALL = """
main(__import__("json").loads(__import__("zlib").decompress(__import__("base64").b64decode(argument))))
remove_traces()
"""


class Module(StrEnum):
    """The modules of `remote_kernel.injected`."""

    EXCHANGE = "exchange"
    START = "start"
    CELL = "cell"


@dataclass(frozen=True, slots=True)
class Injection:
    """One execution: the code, and how to find its answer in what the interpreter prints."""

    code: str = field(repr=False)
    mark: str

    @classmethod
    def make(cls, module: Module, argument: Mapping[str, object]) -> "Injection":
        mark = f"rk{secrets.token_hex(8)}"
        packed = zlib.compress(json.dumps({**argument, "mark": mark}).encode())
        # Base64 has neither quotes nor backslashes nor braces.
        return cls(_CODE.format(source=_source(module), argument=base64.b64encode(packed).decode()), mark)

    def find_answer(self, printed: str) -> str | None:
        """Return what stands between the marks; `None` when it is not there, or not all of it."""
        match = re.search(rf"{self.mark}\((.*?)\){self.mark}", printed, re.DOTALL)
        return match[1] if match else None


@cache
def _source(module: Module) -> str:
    texts = [files("remote_kernel.injected").joinpath(f"{name}.py").read_text("utf-8") for name in (module, "traces")]
    return base64.b64encode(zlib.compress("".join((*texts, _CALL)).encode(), 9)).decode()
