"""Forwarded variables: which of this machine's an interpreter in a pod gets, by names and patterns."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.pools.pod_environment import is_secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATTERN = re.compile(r"[A-Za-z0-9_*?]+")
_WILD = re.compile(r"[*?]")

# Of this machine, its user and this kernel: in a pod they would be wrong. Who spells one out means it.
_OWN = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "TMPDIR", "TERM", "HOSTNAME", "VIRTUAL_ENV",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "_",
    }
)  # fmt: skip
_OWN_PREFIXES = ("REMOTE_KERNEL_", "JPY_", "JUPYTER")


def parse_patterns(text: str, source: str) -> tuple[str, ...]:
    """Read names and patterns, with spaces or commas between them; raises as `check_patterns` does."""
    return check_patterns(filter(None, re.split(r"[\s,]+", text)), source)


def check_patterns(words: Iterable[str], source: str) -> tuple[str, ...]:
    """Return names and patterns, where `*` stands for anything and `?` for one character.

    Args:
        source: what the user calls the place that they are from.

    Raises:
        SettingsError: one of them is none; what it is instead may be a value, and is not shown.
    """
    patterns = tuple(words)
    if not all(map(_PATTERN.fullmatch, patterns)):
        raise SettingsError(
            f"{source} has something that is no name of a variable: use names, and patterns such as OTHER_*, with "
            "neither '$' nor '=' and a value"
        )
    return patterns


def select(patterns: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environ` that are forwarded: those that are named, and those that a pattern matches
    unless they have the name of a secret, or belong to this machine."""
    selected: dict[str, str] = {}
    for pattern in patterns:
        if _WILD.search(pattern):
            selected |= {name: value for name, value in environ.items() if _is_matched(name, pattern)}
        elif pattern in environ:
            selected[pattern] = environ[pattern]
    return selected


def _is_matched(name: str, pattern: str) -> bool:
    is_own = name in _OWN or name.startswith(_OWN_PREFIXES)
    is_plain = bool(_NAME.fullmatch(name)) and not is_secret(name, "")
    return is_plain and not is_own and fnmatchcase(name, pattern)
