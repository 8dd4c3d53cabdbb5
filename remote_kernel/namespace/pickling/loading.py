"""Loading: values out of their pickle, with the standing objects of this interpreter."""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace.files.objects import read_objects
from remote_kernel.namespace.pickling import libraries, refusals
from remote_kernel.namespace.pickling.standing import DEFINITION, standing_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remote_kernel.namespace.files.packs import Group

# The program's own name in an archive, and in a checkout.
_PACKAGES = ("_remote_kernel_namespace", "remote_kernel" + ".namespace")


class Unrestored(Exception):
    """A group cannot be loaded; the text is the reason, as a sentence without its subject."""


class Finder:
    """Mix-in for unpicklers: finds what a pickle names."""

    shell: Any
    definition: Callable[[str], Any]

    def persistent_load(self, name: Any) -> Any:
        """Return the standing object of a name, or the definition of a variable."""
        if name.startswith(DEFINITION):
            return self.definition(name[len(DEFINITION) :])
        return standing_object(name, self.shell)

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, out of this program where it was of a program like this."""
        for package in _PACKAGES:
            if module == package or module.startswith(f"{package}."):
                module = libraries.PACKAGE + module[len(package) :]
                break
        return super().find_class(module, name)  # type: ignore[misc]


class _Unpickler(Finder, pickle.Unpickler):
    pass


def load(group: Group, folder: str, shell: Any, definition: Callable[[str], Any]) -> list[Any]:
    """Return the values of a group.

    Args:
        group: with a pickle that its owner has authenticated: loading runs what it says.
        folder: with the objects.
        shell: IPython's.
        definition: returns the function or class of another variable, or raises `Unrestored`.

    `Unrestored` if they cannot be loaded.
    """
    check(group)
    buffers = (read_objects(folder, references) for references in group.buffers)
    try:
        unpickler = _unpickler(group.serialiser, io.BytesIO(group.pickle), buffers)
        unpickler.shell, unpickler.definition = shell, definition
        values = unpickler.load()
    except (KeyboardInterrupt, refusals.TimeOver, Unrestored):
        raise
    except BaseException as error:
        raise Unrestored(_reason(error, group)) from None
    if not isinstance(values, list) or len(values) != len(group.variables):
        raise Unrestored("is not what was saved")
    return values


def check(group: Group) -> None:
    """Look whether what a group needs is here; `Unrestored` if something is not."""
    python = group.requires.get("python", "")
    here = "{}.{}".format(*sys.version_info)
    if python and python != here:
        raise Unrestored(f"holds code of Python {python}, and the session's is {here}")
    for name in group.requires:
        if name != "python" and not libraries.is_installed(name):
            raise Unrestored(_missing(name, group))


def _unpickler(serialiser: str, file: io.BytesIO, buffers: Iterable[Any]) -> Any:
    kind: Any = _Unpickler
    libraries.load("cloudpickle")
    if serialiser == "dill":

        class DillUnpickler(Finder, libraries.load("dill").Unpickler):  # type: ignore[misc]
            """Dill's."""

        kind = DillUnpickler
    return kind(file, buffers=buffers)


def _missing(name: str, group: Group) -> str:
    version = group.requires.get(name, "")
    if not version and name not in group.distributions:
        return f"needs the module {name}, which is not in the session"
    wanted = group.distributions.get(name, name) + (f"=={version}" if version else "")
    return f"needs {name}, which is not in the session: %pip install {wanted}"


def _reason(error: BaseException, group: Group) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name.partition(".")[0], group)
    others = libraries.differences(group.requires)
    because = f" ({others[0]})" if others else ""
    return f"could not be loaded: {refusals.shown(error)}{because}"
