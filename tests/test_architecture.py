"""Who may import whom: `cli → kernel → client → core ← pod` and `core ← pool`."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import remote_kernel

PACKAGE = Path(remote_kernel.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent

# Part of the package: what it may import of the others. `injected` and `namespace` are sent as text.
ARROWS = {
    "core": set(),
    "io": {"core"},
    "client": {"core", "io"},
    "kernel": {"client", "core", "io"},
    "injected": set(),
    "namespace": set(),
    "pod": {"core", "io"},
    "pool": {"core", "io"},
    "cli": {"client", "core", "io", "kernel", "pod", "pool"},
    "__init__": set(),
    "__main__": {"kernel"},
}

# As many as can be seen at a glance.
MAX_MODULES = 12

# A docstring says what a thing is (a noun phrase) or what a function does (a verb).
_QUESTION = re.compile(r"(What|Which|How|Who|Whom|Whose|Whether|Where|When|Why)\b")

# What does I/O, waits, looks at a clock or at the environment.
IMPURE = {
    "asyncio",
    "os",
    "pathlib",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "threading",
    "time",
}

# Libraries that do nothing of the kind.
PURE_LIBRARIES = {"pathspec"}

# What does it in the rooms that decide about requests.
IMPURE_MODULES = {"history", "history_file"}

# A cell's way through the package is to be followed in an hour.
MAX_FILES_OF_A_CELL = 25


def part_of(module: str) -> str:
    """Return the part that a module of ours belongs to: "core" for "remote_kernel.core.wire.frames"."""
    return module.split(".")[1] if "." in module else "__init__"


def name_of(path: Path) -> str:
    return ".".join(["remote_kernel", *path.relative_to(PACKAGE).with_suffix("").parts])


def imports_of(path: Path) -> Iterator[str]:
    """Return every module that a file imports, also inside its functions; `from a import b` counts as `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours_in(imports: Iterator[str]) -> set[str]:
    """Return the parts of the package among `imports`; a name such as `__version__` is the package itself."""
    parts = {part_of(name) for name in imports if name.split(".")[0] == "remote_kernel"}
    return {part if part in ARROWS else "__init__" for part in parts}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_hold(path: Path) -> None:
    part = part_of(name_of(path))
    assert part in ARROWS, f"{path} belongs to no part of the architecture"
    assert ours_in(imports_of(path)) - {part, "__init__"} <= ARROWS[part]


def is_pure(path: Path) -> bool:
    """Return whether a module is one of those that decide and do nothing."""
    return part_of(name_of(path)) == "core" or (
        path.parent.name in {"requests", "before_session"} and path.stem not in IMPURE_MODULES
    )


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=name_of)
def test_what_decides_is_pure(path: Path) -> None:
    modules = {name.split(".")[0] for name in imports_of(path)} - {"remote_kernel"}
    assert modules - PURE_LIBRARIES <= sys.stdlib_module_names
    assert not modules & IMPURE


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(name_of(path)) == "core"], ids=name_of)
def test_each_module_of_core_has_a_test_file_of_its_own(path: Path) -> None:
    file = TESTS / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    assert path.name == "__init__.py" or file.exists()


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda path: path.name)
def test_no_room_has_more_modules_than_can_be_seen_at_a_glance(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MAX_MODULES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_docstrings_say_what_a_thing_is(path: Path) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, documented)]
    texts = [ast.get_docstring(node) or "" for node in nodes]
    assert [text for text in texts if _QUESTION.match(text)] == []


def test_public_names_are_listed() -> None:
    assert remote_kernel.__all__ == ["__version__"]
    public = {name for name in vars(remote_kernel) if not name.startswith("_")}
    submodules = {path.stem for path in PACKAGE.iterdir()}
    assert public <= {*remote_kernel.__all__, *submodules}


def loaded_with(module: str) -> list[str]:
    """Return the names of all modules that are there once `module` is loaded."""
    program = f"import sys, {module}; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_local_kernel_binds_its_sockets_before_it_loads_the_rest() -> None:
    parts = {"cli", "client", "http1", "log_files", "pod", "pool"}
    loaded = loaded_with("remote_kernel.kernel.app")
    assert "remote_kernel.kernel.frontend.sockets" in loaded
    assert not {"asyncio", "dataclasses", "inspect", "logging", "ssl"} & set(loaded), "they take longer than ZeroMQ"
    assert not {part_of(name) for name in loaded if name.startswith("remote_kernel")} & parts


def test_local_kernel_loads_neither_ipython_nor_the_other_side() -> None:
    loaded = loaded_with("remote_kernel.kernel.serving")
    others = {"IPython", "ipykernel", "starlette", "uvicorn", "nbclient", "httpx", "azure", "rich", "difflib"}
    assert not {name.split(".")[0] for name in loaded} & others, "the first cell does not need it"
    assert not [name for name in loaded if name.startswith(("remote_kernel.pod", "remote_kernel.pool"))]
    assert not {"importlib.metadata", "tomllib", "zipfile"} & set(loaded), "2 MB, which few need"


def test_one_cell_s_way_is_as_it_is_described_and_not_long() -> None:
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text().split("## One cell's way")[1].split("\n## ")[0]
    way = set(re.findall(r"`([\w/]+\.py):(\w+)`", text))
    for file, function in way:
        nodes = ast.walk(ast.parse((PACKAGE / file).read_text()))
        names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in names, (file, function)
    assert len({file for file, _ in way}) <= MAX_FILES_OF_A_CELL
