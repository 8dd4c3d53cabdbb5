"""Proxy on the way to a pool: named by the environment or, where that names none, by the system's own settings."""

import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from remote_kernel.core.pools.proxies import Proxy, choose_proxy, names_a_proxy, parse_proxy

# Where a system has settings for proxies outside the environment.
_WITH_SETTINGS = ("darwin", "win32")


def find_proxy(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy on the way to `url`; `None` where there is none, as for plain HTTP, which is for this machine.

    Raises:
        SettingsError: a variable does not name a proxy that can be used.
    """
    if urlsplit(url).scheme != "https":
        return None
    if names_a_proxy(environ) or not sys.platform.startswith(_WITH_SETTINGS):
        return choose_proxy(url, environ)
    from urllib.request import getproxies, proxy_bypass

    system = getproxies()
    named = system.get("https") or system.get("all")
    if not named or proxy_bypass(urlsplit(url).hostname or ""):
        return None
    return parse_proxy(named, "The system's setting for proxies")
