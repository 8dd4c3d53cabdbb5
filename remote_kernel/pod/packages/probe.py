"""Describes the interpreter that runs it, as JSON on standard output; its arguments are distributions to look for.

It is sent as text to the interpreter of a kernelspec, which may be older than ours: nothing here is newer than Python
3.8, and nothing but the standard library is needed.
"""

from __future__ import annotations

import sys

# A name too many costs nothing; a folder of somebody's that has a hundred thousand would.
MAX_PACKAGES = 10_000
MAX_PLATFORMS = 500


def main() -> None:
    """Print the description: that of `core.wire.packages.Packages` without the pod's name, and `found`."""
    sys.path[:] = [folder for folder in sys.path if folder]  # the current folder may hold modules of any name
    import json

    abi, platforms = tags()
    installed = packages()
    told = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "implementation": implementation(),
        "abi": abi,
        "platforms": platforms[:MAX_PLATFORMS],
        "markers": markers(),
        "installer": installer(installed),
        "installed": installed,
        "found": {name: version_of(name) for name in sys.argv[1:]},
    }
    print(json.dumps(told))


def implementation() -> str:
    """Return the interpreter's short name in the tags of wheels."""
    return {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name)


def tags() -> tuple[str, list[str]]:
    """Return the best ABI and all platforms of wheels that this interpreter takes, best first."""
    for name in ("packaging.tags", "pip._vendor.packaging.tags"):
        try:
            module = __import__(name, fromlist=["sys_tags"])
            found = list(module.sys_tags())
        except Exception:  # noqa: S112 - it is not there, or does not work: the next one may
            continue
        platforms = dict.fromkeys(tag.platform for tag in found if tag.platform != "any")
        return found[0].abi, list(platforms)
    return guess_tags()


def guess_tags() -> tuple[str, list[str]]:
    """Return the same where there is no library that knows."""
    import platform
    import sysconfig

    own = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    libc, version = platform.libc_ver()
    machine = platform.machine()
    minor = version.partition(".")[2]
    older = range(int(minor), 4, -1) if libc == "glibc" and minor.isdigit() else ()
    flags = getattr(sys, "abiflags", "")
    abi = "{}{}{}{}".format(implementation(), *sys.version_info[:2], flags)
    return abi, [f"manylinux_2_{number}_{machine}" for number in older] + [own]


def markers() -> dict[str, str]:
    """Return what requirements may ask of an environment."""
    import os
    import platform

    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": full_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version().rstrip("+"),  # of a build between two versions
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def full_version() -> str:
    """Return the implementation's version as markers have it: "3.13.0rc1"."""
    info = sys.implementation.version
    text = "{}.{}.{}".format(*info[:3])
    return text if info.releaselevel == "final" else text + info.releaselevel[0] + str(info.serial)


def packages() -> dict[str, str]:
    """Return versions by name, as the folders are called that say what is installed: to read hundreds takes long."""
    import pathlib
    import re

    pattern = re.compile(r"(?P<name>[\w.]+)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = sorted(path.name for path in pathlib.Path(folder).iterdir())
        except OSError:
            continue
        for match in filter(None, map(pattern.fullmatch, names)):
            found.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    return dict(sorted(found.items())[:MAX_PACKAGES])


def installer(installed: dict[str, str]) -> str:
    """Return what can unpack wheels, "" for nothing."""
    import importlib.util
    import shutil

    if importlib.util.find_spec("pip") is not None:
        return "pip " + installed.get("pip", "")
    return "uv" if shutil.which("uv") else ""


def version_of(name: str) -> str:
    """Return the version of a distribution that can be imported here; "" where there is none."""
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
