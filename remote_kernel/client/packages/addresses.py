"""Addresses of packages: which of them pip may be given, and what is told of them."""

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from remote_kernel.core.wire.packages import WHEEL

_WEB = frozenset({"http", "https"})


def is_wheel_address(url: str) -> bool:
    """Return whether an address is that of a wheel, which pip takes as it is.

    What is at any other one, such as a source archive, a folder or a repository, pip builds: it runs the package's own
    code on this machine, also where it is told to take wheels alone, as that counts for what it finds in an index.
    """
    return _is_plain(url) and WHEEL.fullmatch(file_name(url)) is not None


def is_web_address(url: str) -> bool:
    """Return whether an address is not one of this machine's files."""
    return urlsplit(url).scheme in _WEB


def is_file_address(url: str) -> bool:
    """Return whether an address is that of a file on this machine."""
    return urlsplit(url).scheme == "file"


def is_index_address(url: str) -> bool:
    """Return whether an address can be that of an index."""
    return "://" in url and _is_plain(url)


def host_of(url: str) -> str:
    """Return the host of an address, without a login that may stand before it; "" for a file's."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] if parts.scheme in _WEB else ""


def file_name(url: str) -> str:
    """Return the name of the file that an address leads to."""
    return unquote(PurePosixPath(urlsplit(url).path).name)


def _is_plain(url: str) -> bool:
    """Return whether an address is of the web or of this machine, and one word to everybody."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_here = parts.scheme == "file" and parts.netloc in {"", "localhost"}
    return (is_here or parts.scheme in _WEB) and url.isascii() and url.isprintable() and " " not in url
