r"""Paths on Windows: one spelling for what names one file.

A notebook's identifier comes from its path, so that two spellings of one path would be two sessions. Who asks has the
system resolve links and mapped drives first, which gives the names as they are on disk; what is left are spellings that
the system takes for one. The names of folders and files stay as they are: in folders that WSL has made, their case
counts.

A notebook in `C:\` and the same file seen from inside WSL, as `/mnt/c/`, are two: a Linux kernel has another machine's
name, user and key.

Source: "File path formats on Windows systems" in Microsoft's documentation.
"""

import re

# Paths that the system takes as they are, with a drive or a host behind them.
_VERBATIM_HOST = re.compile(r"\\\\[?.]\\UNC\\", re.IGNORECASE)
_VERBATIM_DRIVE = re.compile(r"\\\\[?.]\\(?=[A-Za-z]:)")

_DRIVE = re.compile(r"[A-Za-z]:")
# Host and share, whose case does not count.
_HOST = re.compile(r"\\\\[^\\]+(?:\\[^\\]+)?")

# Two names of the same host: the files inside WSL, seen from Windows.
_WSL_BEFORE = "\\\\wsl$"
_WSL = "\\\\wsl.localhost"

# Of a file with a longer one, as "PYPROJ~1.TOM" of "pyproject.toml".
_SHORT_NAME = re.compile(r"[^.]{1,6}~[0-9]{1,6}(\.[^.]{0,3})?")

_DRIVE_IN_URL = re.compile(r"/[A-Za-z]:/")


def spell_windows_path(path: str) -> str:
    r"""Return the one spelling of an absolute path: `C:\Users\ada\a.ipynb`, `\\host\share\a.ipynb`."""
    if not _DRIVE.match(path) and path[:2].strip("/\\"):
        return path  # it has neither a drive nor a host
    path = path.replace("/", "\\")
    path = _VERBATIM_DRIVE.sub("", _VERBATIM_HOST.sub(r"\\\\", path, count=1), count=1)
    if _DRIVE.match(path):
        return path[0].upper() + path[1:]
    path = _HOST.sub(lambda found: found[0].lower(), path, count=1) if _HOST.match(path) else path
    is_wsl = path == _WSL_BEFORE or path.startswith(f"{_WSL_BEFORE}\\")
    return _WSL + path.removeprefix(_WSL_BEFORE) if is_wsl else path


def windows_path_of_url(authority: str, path: str) -> str:
    r"""Return the path in a URL: `C:\a.ipynb` for `///c:/a.ipynb`, `\\host\a.ipynb` for `//host/a.ipynb`.

    Args:
        authority: VS Code has there what it is connected to, such as `ssh-remote+box`, whose files are not here.

    Returns:
        "" for what is no path on this machine.
    """
    if "+" in authority:
        return ""
    if authority:
        return spell_windows_path(f"//{authority}{path}")
    return spell_windows_path(path[1:]) if _DRIVE_IN_URL.match(path) else ""


def is_short_name(name: str) -> bool:
    """Return whether a name may be the short one (8.3) that Windows has given a file beside its own."""
    return _SHORT_NAME.fullmatch(name) is not None
