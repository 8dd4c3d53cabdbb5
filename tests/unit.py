"""Tests that start no process, and those that Windows has no use for, told by what their modules import."""

import ast
import sys
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


# Whoever imports one of these is about what Windows does not have: Unix's own modules, pods and the local pool.
UNIX_ONLY = ("fcntl", "resource", "remote_kernel.pod", "remote_kernel.pool")

# Whether this is Windows, or a Python that has the package see it so (`tests.as_on_windows`).
IS_WINDOWS = sys.platform == "win32" or any(Path(folder).name == "as_on_windows" for folder in sys.path)


@cache
def needs_unix(path: Path) -> bool:
    """Return whether a test module, or a helper of the tests that it imports, can only be loaded on Linux and macOS."""
    names = set(_imports(path))
    if any(name == each or name.startswith(f"{each}.") for name in names for each in UNIX_ONLY):
        return True
    return any(helper != path and needs_unix(helper) for helper in _helpers(names))


@cache
def starts_processes(path: Path) -> bool:
    """Return whether a test module, or a helper of the tests that it imports, starts processes."""
    names = set(_imports(path))
    if any(name in STARTING or name.split(".")[0] in STARTING for name in names):
        return True
    return any(helper != path and starts_processes(helper) for helper in _helpers(names))


def _helpers(names: set[str]) -> list[Path]:
    helpers = (ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("tests."))
    return [helper for helper in helpers if helper.exists()]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
