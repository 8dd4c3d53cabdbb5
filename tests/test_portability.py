"""Which modules may use what only Linux and macOS have; mypy does the rest, for each system (`make lint`)."""

import ast
from pathlib import Path

import remote_kernel

PACKAGE = Path(remote_kernel.__file__).parent

# "Availability: Unix" in the documentation of Python's library.
UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}

# What runs nowhere else: pods, the local pool, and what starts it.
UNIX_PARTS = (
    "pod/", "pool/", "injected/", "namespace/", "client/pool_daemon.py", "io/system/open_files.py",
    "io/system/fork_server.py", "io/system/forking.py",
)  # fmt: skip

# What runs everywhere and imports one of them behind a look at the system.
GUARDED = {
    "io/system/durability.py": {"fcntl"},
    "io/system/file_locks.py": {"fcntl"},
    "kernel/frontend/subscribers.py": {"fcntl", "termios"},
}


def names_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def unix_imports(tree: ast.AST) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} & UNIX_MODULES


def is_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith("sys.platform ")


def test_unix_s_own_modules_are_imported_in_these_modules_only() -> None:
    trees = {names_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    found = {name: unix_imports(tree) for name, tree in trees.items() if not name.startswith(UNIX_PARTS)}
    assert {name: modules for name, modules in found.items() if modules} == GUARDED
    for name, modules in GUARDED.items():
        guards = [node for node in ast.walk(trees[name]) if is_guard(node)]
        assert set().union(*map(unix_imports, guards)) == modules
        unguarded = [node for node in trees[name].body if not is_guard(node)]
        assert not set().union(*map(unix_imports, unguarded))
