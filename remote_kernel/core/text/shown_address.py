"""Addresses as people may see them: without user names, passwords, queries and fragments."""

from urllib.parse import urlsplit, urlunsplit

from remote_kernel.core.pools.local_pool import LOOPBACK_NAMES

# In place of what cannot be taken apart, and so not be shown.
HIDDEN = "…"


def host_of(url: str) -> str:
    """Return host and port of a URL; "" where it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:  # half a pair of brackets
        return ""


def is_protected(url: str) -> bool:
    """Return whether nobody on the way can change what comes from a URL: there is TLS, or no way that leaves this
    machine."""
    try:
        parts = urlsplit(url)
        is_place = bool(parts.hostname) and parts.port != 0  # to ask for a port that is none raises
        return is_place and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES))
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """Return a URL with nothing in it that opens anything; what is no URL is hidden."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if not parts.scheme or not parts.netloc:
        return HIDDEN if "@" in url or "?" in url else url
    return urlunsplit((parts.scheme, host_of(url), parts.path, "", ""))
