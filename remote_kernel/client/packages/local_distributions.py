"""Distributions that are installed on this machine."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version


@dataclass(frozen=True, slots=True)
class LocalDistribution:
    """A distribution that is installed beside this package, and its version."""

    name: str
    version: str


def distribution_of(module: str) -> LocalDistribution | None:
    """Return the distribution that a module (such as "PIL.Image") belongs to here; `None` where it is in none.

    Reads what is installed, which takes tenths of a second: to be called in a thread.
    """
    names = packages_distributions().get(module.partition(".")[0], [])
    for name in names:
        try:
            return LocalDistribution(name, version(name))
        except PackageNotFoundError:
            continue
    return None
