"""Completeness of code, as far as the text alone tells: for consoles, before there is a session to ask."""

import ast
import codeop
import re
import warnings

# What only IPython's own parser understands: magics, shell commands, questions.
_SPECIAL = re.compile(r"^\s*[%!?/,;]|=\s*[%!]|\?\s*$", re.MULTILINE)
_INDENT = 4

# So much is not typed at a prompt; a paste of that size is run and not asked about.
MAX_CHARACTERS = 100_000


def judge(code: str) -> dict[str, str]:
    """Return the content of an `is_complete_reply` for code in Python, with "unknown" wherever there is a doubt.

    "invalid" is never said: the Python in the pod may be newer than this one.
    """
    if not code.strip():
        return {"status": "complete"}
    if len(code) > MAX_CHARACTERS or _SPECIAL.search(code):
        return {"status": "unknown"}
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings(action="ignore"):
            is_complete = compiler(code, symbol="exec") is not None and not _may_go_on(code)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return {"status": "unknown"}
    if is_complete:
        return {"status": "complete"}
    return {"status": "incomplete", "indent": _next_indent(code)}


def _may_go_on(code: str) -> bool:
    """Return whether the last line belongs to a block, which an empty line ends at a prompt."""
    statements = ast.parse(code).body
    is_block = bool(statements) and isinstance(getattr(statements[-1], "body", None), list)
    last = code.rsplit("\n", 1)[-1]
    return is_block and bool(last.strip()) and last[:1].isspace()


def _next_indent(code: str) -> str:
    last = code.rstrip().splitlines()[-1]
    indent = last[: len(last) - len(last.lstrip())]
    return indent + " " * (_INDENT if last.endswith(":") else 0)
