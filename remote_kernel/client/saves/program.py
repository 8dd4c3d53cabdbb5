"""Archive of the program that saves and restores variables: it runs in a session's interpreter, and brings along what
it needs of others."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from remote_kernel.core.wire.saves import program_name

# The program's package there, so that it meets no other version of this one.
PACKAGE = "_remote_kernel_namespace"
_OURS = "remote_kernel.namespace"

# In Python alone, and of this machine's versions: what an interpreter has itself comes first there.
_SERIALISERS = ("cloudpickle", "dill")

_LEFT_OUT = frozenset({"__pycache__", "tests"})

# The same sources give the same bytes, whenever and wherever they are packed.
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def program_archive() -> tuple[str, bytes]:
    """Return the name that its file has in a session, and the archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(_sources()):
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, source)
    content = buffer.getvalue()
    return program_name(hashlib.sha256(content).hexdigest()), content


def _sources() -> Iterator[tuple[str, str]]:
    for path, source in _modules(files(_OURS), PACKAGE):
        yield path, source.replace(_OURS, PACKAGE)
    for name in _SERIALISERS:
        yield from _modules(files(name), name)


def _modules(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    """Yield the modules of a package, with their paths in the archive."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in _LEFT_OUT:
            yield from _modules(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{path}/{entry.name}", entry.read_text(encoding="utf-8")
