"""Tests that start no process, told by what their modules import: `make unit`."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Whoever imports one of these starts processes, or modules of the product that do.
STARTING = frozenset(
    {
        "benchmarks",
        "multiprocessing",
        "pexpect",
        "remote_kernel.pool.processes.pods",
        "remote_kernel.pool.session_pool",
        "subprocess",
        "tests.driver",
    }
)


@cache
def starts_processes(path: Path) -> bool:
    """Return whether a test module, or a helper of the tests that it imports, starts processes."""
    names = set(_imports(path))
    if any(name in STARTING or name.split(".")[0] in STARTING for name in names):
        return True
    helpers = (ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("tests."))
    return any(helper != path and helper.exists() and starts_processes(helper) for helper in helpers)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
