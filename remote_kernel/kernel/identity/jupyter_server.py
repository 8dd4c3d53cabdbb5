"""The Jupyter server that has started this kernel, which knows the notebook's path.

Its runtime file has its address and its token, and outlives it when it is killed; then anybody may have its port. So
the file must be the user's own and of the process that started us, and where the system tells whose a socket is, as
Linux does, the token goes to a socket of that process and to no other. No redirection is followed, and no proxy asked.
"""

import json
import os
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from remote_kernel.core.limits import JUPYTER_SESSIONS
from remote_kernel.io.system.processes import lives

# The server is on this machine and answers at once, or is busy and will not be waited for.
TIMEOUT_SECONDS = 2.0

# A runtime file has 300 bytes.
MAX_FILE_BYTES = 64 * 1024

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = "0A"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Jupyter server, from its runtime file."""

    url: str
    token: str = field(repr=False)
    root: Path


def find_server(runtime_folder: Path, parent: int) -> Server | None:
    """Return the server that has started this kernel; `None` where `parent`, who did, is no server or not any more."""
    if not _is_there(parent):  # it has ended, and its id may be anybody's
        return None
    try:
        fields = json.loads(_read_own(runtime_folder / f"jpserver-{parent}.json"))
        if fields.get("pid", parent) != parent:
            return None
        return Server(url=str(fields["url"]), token=str(fields.get("token", "")), root=Path(fields["root_dir"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_there(parent: int) -> bool:
    if sys.platform == "win32":
        return lives(parent)  # which is nobody else: see `kernel.parent`
    return parent in (os.getppid(), os.getpid())


def _read_own(path: Path) -> bytes:
    """Return the content of a file that nobody else can have written; raises `OSError`."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with FileIO(path, opener=lambda name, usual: os.open(name, usual | flags)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            raise OSError("not a runtime file")
        if sys.platform != "win32":  # where the folder is in the user's profile
            if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError("somebody else may have written it")
        return file.read(MAX_FILE_BYTES)


def sessions_of(server: Server, parent: int) -> list[dict[str, object]] | None:
    """Return the server's sessions; `None` when it does not answer. Nothing here may fail a cell."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection  # late, as few kernels get here

    assert JUPYTER_SESSIONS.bytes is not None
    try:
        parts = urlsplit(server.url)
        port = parts.port or _PORTS[parts.scheme]
        host = find_address(parent, port, parts.hostname or "")
        if host is None:
            return None
        # Who has a certificate for the name is who it says.
        connection = (
            HTTPSConnection(parts.hostname or "", port, timeout=TIMEOUT_SECONDS)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )
        headers = {"Host": parts.netloc, "Connection": "close"}
        if server.token:
            headers["Authorization"] = f"token {server.token}"
        try:
            connection.request("GET", f"{parts.path}api/sessions", headers=headers)
            answer = connection.getresponse()
            content = answer.read(JUPYTER_SESSIONS.bytes + 1)
        finally:
            connection.close()
        sessions = json.loads(content) if answer.status == 200 and len(content) <= JUPYTER_SESSIONS.bytes else None
    except (HTTPException, OSError, ValueError, KeyError, RecursionError):
        return None
    return [session for session in sessions if isinstance(session, dict)] if isinstance(sessions, list) else None


def find_address(process: int, port: int, host: str) -> str | None:
    """Return the address at which a process listens on a port; `None` where it does not, or nobody can say.

    Where the system does not tell whose a socket is, this is `host`, if that is this machine.
    """
    tables = [table for table in _TABLES if table.exists()]
    if not tables:
        return host if _is_this_machine(host) else None
    own = _sockets_of(process)
    found = (address for table in tables for address, inode in _listening(table.read_text(), port) if inode in own)
    return next(map(_reachable, found), None)


def _listening(table: str, port: int) -> Iterator[tuple[IPv4Address | IPv6Address, str]]:
    """Yield address and inode of each socket that listens on a port, from a table of proc(5)'s `/proc/net/tcp`."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) < 10 or columns[3] != _LISTENING:
            continue
        address, _, text = columns[1].partition(":")
        if int(text, 16) == port:
            words = bytes.fromhex(address)  # of four bytes, each in the order of this machine
            step = -1 if sys.byteorder == "little" else 1
            yield ip_address(b"".join(words[at : at + 4][::step] for at in range(0, len(words), 4))), columns[9]


def _sockets_of(process: int) -> set[str]:
    """Return the inodes of the sockets that a process has open; none where that is not ours to see."""
    found = set()
    try:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except OSError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        return set()
    return found


def _reachable(address: IPv4Address | IPv6Address) -> str:
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return str(address)


def _is_this_machine(host: str) -> bool:
    """Return whether a socket can be bound to the host's address, as to those of this machine alone."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
