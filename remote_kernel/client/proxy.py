"""The proxy on the way to a pool, as the usual variables name it."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from remote_kernel.core.errors import SettingsError

_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_for(url: str) -> str:
    """Return host and port of the proxy on the way to `url`, without its password; "" when there is none.

    Raises:
        SettingsError: a variable holds no address of a proxy; the text does not repeat it.
    """
    from urllib.request import getproxies, proxy_bypass  # not for those who reach their pool

    parts = urlsplit(url)
    if parts.scheme != "https":
        return ""
    proxies = getproxies()
    # httpx reads all of them, whichever it needs.
    found = {kind: _parse(kind, proxies[kind]) for kind in ("http", "https", "all") if proxies.get(kind)}
    return "" if proxy_bypass(parts.hostname or "") else found.get("https") or found.get("all") or ""


def _parse(kind: str, text: str) -> str:
    name = f"{kind.upper()}_PROXY"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        is_usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(f"{name} is not the address of a proxy: write http://host:port, or unset it")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise SettingsError(f"{name} names a SOCKS proxy, which needs a package: run 'pip install socksio'")
    return parts.netloc.rpartition("@")[2]
