"""Redaction of a report that goes to strangers: values that are known, and what looks like a secret, become labels."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

# Shorter values are words that a report may have anyway; as a whole word alone, from two letters on.
MIN_CHARS = 5

# What says nothing of whose pool it is, in an address.
_COMMON = frozenset({"azurecontainerapps", "dynamicsessions", "127", "localhost", "subscriptions", "resourcegroups",
                     "sessionpools", "providers", "http", "https"})  # fmt: skip

_PATTERNS = (
    (re.compile(r"eyJ[\w-]{8,}(\.[\w-]*){0,2}"), "<token>"),
    (re.compile(r"(?i)\bbearer\s+(?!<)(?!error\b|realm\b|authorization_uri\b)[^\s\"',;]{4,}"), "Bearer <token>"),
    (re.compile(r"(?i)\b[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\b"), "<guid>"),
    (re.compile(r"(?i)(?<=/subscriptions/)[^/\s\"'<>]+|(?<=/resourcegroups/)[^/\s\"'<>]+"), "<name>"),
    (re.compile(r"(?i)(?<=/sessionpools/)[^/\s\"'<>?]+"), "<name>"),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://(?!<)[^\s\"'<>)]+"), "<address>"),
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "<address>"),
    (re.compile(r"(?i)\b[\w-]+(\.[\w-]+)*\.(azurecontainerapps|dynamicsessions|windows|microsoftonline|azurecr)"
                r"(\.[a-z]+)+"), "<host>"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b"), "<ip>"),
    (re.compile(r"(?i)(?<![\w:])(?=[0-9a-f:]*::|([0-9a-f]{1,4}:){7})[0-9a-f:]{3,}(?![\w:])"), "<ip>"),
    (re.compile(r"(?<![\w<])(/(home|Users|root|tmp|var|private|mnt/(?!data\b))[^\s\"'<>|]*|[A-Za-z]:\\[^\s\"'<>|]+)"),
     "<path>"),
    (re.compile(r"\bnb-[0-9a-f]{6,}"), "<identifier>"),
    # Keys and the like, of which nobody knows: long, and with digits among the letters as no name of a test has them.
    (re.compile(r"(?<![\w+/=-])(?=(?:[A-Za-z+/=_-]*\d){4})(?=[\w+/=-]*[A-Za-z])[\w+/=-]{20,}"), "<secret>"),
)  # fmt: skip


def names_of_pool(endpoint: str) -> dict[str, str]:
    """Return what an endpoint tells of whose it is (the address, its host, the parts of either), with their labels."""
    parts = urlsplit(endpoint)
    names = {endpoint: "<endpoint>", parts.netloc: "<host>", parts.hostname or "": "<host>"}
    names |= dict.fromkeys((parts.hostname or "").split(".")[:-2], "<host>")
    names |= dict.fromkeys(parts.path.split("/"), "<name>")
    return {name: label for name, label in names.items() if name and name.lower() not in _COMMON}


def redact(text: str, known: Mapping[str, str]) -> str:
    """Return `text` with labels in the place of the `known` values, however they are written, and of what looks like
    a secret."""
    for value in sorted(filter(None, known), key=len, reverse=True):
        for form in _forms(value):
            text = form.sub(known[value], text)
    for pattern, label in _PATTERNS:
        text = pattern.sub(label, text)
    return text


def _forms(value: str) -> Iterator[re.Pattern[str]]:
    """Yield what finds a value as it is, and as it stands in an address."""
    for text in dict.fromkeys((value, quote(value, safe=""), quote(value))):
        escaped = re.escape(text)
        if len(text) >= MIN_CHARS:
            yield re.compile(escaped, re.IGNORECASE)
        elif len(text) > 1:
            yield re.compile(rf"(?<![\w<]){escaped}(?![\w>])", re.IGNORECASE)
