"""Proxies by environment variables: which one leads to a URL, by the conventions that curl and Python's tools share.

`HTTPS_PROXY` and `ALL_PROXY` name a proxy; in small letters, too, which go first. `NO_PROXY` names whom to reach
without one: hosts, with all that is below them, IP addresses and networks, each perhaps with a port, or `*`.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from remote_kernel.core.errors import SettingsError

PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
BYPASS_VARIABLES = ("no_proxy", "NO_PROXY")

SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy.

    Attributes:
        url: with user and password, if it has them.
        variable: that names it.
        host: its name or IP address, without brackets.
        port: its port; `None` for its scheme's own.
    """

    url: str = field(repr=False)
    variable: str
    host: str
    port: int | None

    @property
    def address(self) -> str:
        """Host and port, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether a variable names a proxy; what a system has set elsewhere does not count then."""
    return any(environ.get(name, "").strip() for name in PROXY_VARIABLES)


def choose_proxy(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy on the way to `url` (https); `None` where there is none.

    Raises:
        SettingsError: the variable does not name a proxy that can be used.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or HTTPS_PORT
    bypass = next((environ[name] for name in BYPASS_VARIABLES if environ.get(name, "").strip()), "")
    variable = next((name for name in PROXY_VARIABLES if environ.get(name, "").strip()), "")
    if not variable or is_bypassed(host, port, bypass):
        return None
    return parse_proxy(environ[variable].strip(), variable)


def parse_proxy(text: str, variable: str) -> Proxy:
    """Read the value of a variable; one without a scheme is of http, as with curl.

    Raises:
        SettingsError: it is not the address of a proxy; the text does not repeat it, as it may hold a password.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _unusable(variable, "its host or port cannot be read") from None
    if parts.scheme.lower() not in SCHEMES:
        raise _unusable(variable, "its kind is none of http, https, socks5 and socks5h")
    if not host:
        raise _unusable(variable, "it has no host")
    return Proxy(url=url, variable=variable, host=host, port=port)


def _unusable(variable: str, reason: str) -> SettingsError:
    how = "write http://host:port, or socks5://host:port"
    return SettingsError(f"{variable} is not the address of a proxy, as {reason}: {how}.")


def is_bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Return whether `NO_PROXY` says that a host is reached without a proxy; entries that make no sense say nothing."""
    return any(_covers(entry, host.lower().rstrip("."), port) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted = _split_port(entry.lower())
    if wanted not in (None, port):
        return False
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except (ValueError, TypeError):
            return False
    name = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    """Return an entry's name, network or address without brackets, and its port, if it has one."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](/\d+)?(?::(\d+))?", entry)
    if bracketed is not None:
        address, length, port = bracketed.groups()
        return address + (length or ""), None if port is None else int(port)
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and port.isascii() and port.isdigit():
        return name, int(port)
    return entry, None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
