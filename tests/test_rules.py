"""Rules of the code that types and linters do not hold, read from the syntax trees."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "remote_kernel"

# Where processes begin: each reads the environment once, and passes on what it has read. Beside these, libraries read
# it themselves: azure-identity, httpx and OpenSSL (`SSL_CERT_DIR`), jupyter_core, rich.
READERS_OF_THE_ENVIRONMENT = {
    "cli/__init__.py": "the command",
    "kernel/app.py": "the local kernel",
    "pool/__main__.py": "the local pool",
    "pod/__main__.py": "the pod's agent",
    "pod/brought_agent.py": "the agent that a kernel brings along",
    "pod/fork_server.py": "what pods are copies of",
    "io/system/forking.py": "a copy of a fork server",
    "pod/interpreters/set_up.py": "what an interpreter runs first",
    "injected/cell.py": "what a built-in interpreter runs",
}

# Of libraries that have no public way, or call it their protocol for subclasses.
PRIVATE_OF_OTHERS = {
    "_exit": "os, where it is documented",
    "_getframe": "sys, where it is documented",
    "_replace": "named tuples, where it is documented",
    "_actions": "argparse",
    "_HelpAction": "argparse",
    "_SubParsersAction": "argparse",
    "_selector": "asyncio",
    "_showtraceback": "IPython, for subclasses",
    "_iopub_channel": "jupyter_client",
    "_message_received": "jupyter_kernel_client",
    "_run": "langchain, for subclasses",
    "_make_skeleton_class": "cloudpickle, whose pickles name it",
    "_lookup_class_or_track": "cloudpickle, beside the one before",
    "_DYNAMIC_CLASS_TRACKER_BY_CLASS": "cloudpickle, beside the two before",
}


# What stands for a system that has none of them.
PATCHED_CONSTANTS = {"_TABLES"}


# Loading what these have written runs whatever code it names.
UNPICKLING = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "torch"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and bool(names & {alias.name for alias in node.names})
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in names


def test_environment_is_read_once_where_a_process_begins() -> None:
    readings = Counter(
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(tree_of(path))
        if reads_environment(node)
    )
    assert readings == dict.fromkeys(READERS_OF_THE_ENVIRONMENT, 1)


def is_of_self(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in {"self", "cls", "super()"}


def is_private_of_another(node: ast.Attribute) -> bool:
    return node.attr.startswith("_") and not node.attr.startswith("__") and not is_of_self(node)


def own_names(tree: ast.Module) -> set[str]:
    """Return the attributes that the classes of a module define."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_of_self(node)}
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in owner.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                names.add(ast.unparse(node.target))
    return names


def test_nobody_reaches_into_the_private_attributes_of_others() -> None:
    """Of another object that is used which the same module defines: it is of a class of its own."""
    places: dict[str, list[str]] = {}
    for path in (path for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks") for path in folder.rglob("*.py")):
        tree = tree_of(path)
        own = own_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private_of_another(node) and node.attr not in own:
                places.setdefault(node.attr, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: at for name, at in places.items() if name not in PRIVATE_OF_OTHERS} == {}


def patched_names(tree: ast.Module) -> Iterator[str]:
    """Yield the last words of what `monkeypatch.setattr` replaces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".setattr"):
            name = node.args[len(node.args) - 2]  # before the new value; behind the object, where it is not a path
            if isinstance(name, ast.Constant):
                yield str(name.value).rpartition(".")[2]


def test_no_test_replaces_a_constant() -> None:
    """What a test needs shorter or smaller is passed in, in a frozen object that has the real values by default."""
    patched = {
        (str(path.relative_to(ROOT / "tests")), name)
        for path in (ROOT / "tests").rglob("*.py")
        for name in patched_names(tree_of(path))
        if re.fullmatch(r"_?[A-Z][A-Z_]+", name) and name not in PATCHED_CONSTANTS
    }
    assert patched == set()


def imports_in(tree: ast.Module) -> set[str]:
    """Return the packages that a module imports, also inside functions."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_nothing_is_unpickled_outside_a_session() -> None:
    """What a session's interpreter loads itself is in `namespace`, which nothing here imports."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "namespace"]
    found = {path.relative_to(PACKAGE).as_posix(): imports_in(tree_of(path)) & UNPICKLING for path in paths}
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_no_thread_that_is_waited_for_reads_saves() -> None:
    """They may be on a drive that hangs; see `io.threads`."""
    found = {
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in (PACKAGE / "client/saves").rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("to_thread", "run_in_executor")
    }
    assert found == set()
