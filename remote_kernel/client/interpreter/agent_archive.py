"""Archive of the agent: one file, for Python to run, with all that `remote_kernel.pod.brought_agent` needs."""

import ast
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

AGENT = "remote_kernel.pod.brought_agent"

_MAIN = f"from {AGENT} import main\nmain()\n"

# The same sources give the same bytes, whenever and wherever they are packed.
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def agent_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(_sources().items()):
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, source)
    return buffer.getvalue()


def _sources() -> dict[str, str]:
    """Return the agent's modules and all of ours that they import, by their file's name."""
    found = {"__main__.py": _MAIN}
    waiting = [AGENT]
    while waiting:
        module = waiting.pop()
        for name in _with_packages(module):
            path, source = _read(name)
            if path not in found:
                found[path] = source
                waiting += _imports(source)
    return found


def _with_packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _read(module: str) -> tuple[str, str]:
    root = files("remote_kernel")
    parts = module.split(".")[1:]
    if not parts or root.joinpath(*parts).is_dir():
        parts.append("__init__")
    path = "/".join(parts) + ".py"
    return f"remote_kernel/{path}", root.joinpath(path).read_text(encoding="utf-8")


def _imports(source: str) -> Iterator[str]:
    """Return the modules of this package that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("remote_kernel"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("remote_kernel"):
            yield node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if _is_module(name):
                    yield name


def _is_module(name: str) -> bool:
    place = files("remote_kernel").joinpath(*name.split(".")[1:])
    return place.is_dir() or files("remote_kernel").joinpath("/".join(name.split(".")[1:]) + ".py").is_file()
