"""Choice of versions for the interpreter of a pod: pure, given who knows what there is.

What the pod has stays, where it is good enough. The rest is asked for in rounds, each of which brings the requirements
of the next. Markers are those of the pod: pip can look for another platform's wheels, but takes this machine for that
platform when it reads requirements (pip's issue 11664).
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from remote_kernel.client.packages.addresses import is_web_address, is_wheel_address
from remote_kernel.client.packages.requirements import Wanted
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import UsageError
from remote_kernel.core.wire.packages import Packages

# Chains of requirements have ten links at most, and each may make one before it be chosen anew.
MAX_ROUNDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A wheel that was found for a requirement.

    Attributes:
        name: normalized.
        url: where it is.
        is_direct: whether it was asked for by its address.
        sha256: "" where the index does not tell.
        requires: its own requirements, with their markers.
    """

    name: str
    version: str
    url: str
    is_direct: bool = False
    sha256: str = ""
    requires: tuple[str, ...] = ()


# Finds the best wheel for each of many lines such as "numpy>=2"; raises `UsageError` where there is none.
Find = Callable[[Sequence[str]], Awaitable[Sequence[Found]]]


@dataclass(slots=True)
class _Asked:
    """All that is asked of one distribution: requirements, and who has them ("" for the user)."""

    requirements: list[tuple[Requirement, str]] = field(default_factory=list)

    @property
    def specifier(self) -> SpecifierSet:
        return SpecifierSet(",".join(str(each.specifier) for each, _ in self.requirements if str(each.specifier)))

    @property
    def extras(self) -> frozenset[str]:
        return frozenset(canonicalize_name(extra) for each, _ in self.requirements for extra in each.extras)

    @property
    def url(self) -> str:
        return next((each.url for each, _ in self.requirements if each.url), "")


async def resolve(wanted: Wanted, target: Packages, find: Find) -> list[Found]:
    """Return the wheels that `target` lacks, by name; raises `UsageError`, also from `find`."""
    return await _Resolution(wanted, target, find).run()


def is_satisfied(wanted: Wanted, target: Packages) -> bool:
    """Return whether the pod has all that is wanted, without asking anybody."""
    return all(
        not requirement.url and not requirement.extras and fits(requirement, target.installed)
        for requirement in wanted.requirements
        if applies(requirement, target, frozenset())
    )


def fits(requirement: Requirement, installed: Mapping[str, str]) -> bool:
    """Return whether what is installed is good enough for a requirement."""
    return _holds(requirement.specifier, installed.get(canonicalize_name(requirement.name), ""))


def _holds(specifier: SpecifierSet, version: str) -> bool:
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def applies(requirement: Requirement, target: Packages, extras: frozenset[str]) -> bool:
    """Return whether a requirement counts for the pod's interpreter, and for one of these extras or none."""
    marker = requirement.marker
    if marker is None:
        return True
    with contextlib.suppress(InvalidVersion, UndefinedComparison, UndefinedEnvironmentName):
        return any(marker.evaluate({**target.markers, "extra": extra}) for extra in extras | {""})
    return False  # nobody can say what it asks, or of what: the pod says what its version is


class _Resolution:
    def __init__(self, wanted: Wanted, target: Packages, find: Find) -> None:
        self._wanted = wanted
        self._target = target
        self._find = find
        self._asked: dict[str, _Asked] = {}
        self._chosen: dict[str, Found] = {}

    async def run(self) -> list[Found]:
        for _ in range(MAX_ROUNDS):
            self._ask_anew()
            open_names = [name for name in self._asked if not self._is_settled(name)]
            # What is to be chosen anew first, as others may be asked for by the old choice alone.
            names = [name for name in open_names if name in self._chosen] or open_names
            lines = [self._line(name) for name in names]
            if not lines:
                installed, reached = self._target.installed, self._asked.keys() & self._chosen.keys()
                found = (self._chosen[name] for name in sorted(reached))
                return [each for each in found if installed.get(each.name) != each.version]
            for each in await self._find(lines):
                self._chosen[each.name] = each
        raise UsageError("The requirements lead in circles: pin the versions of some of them.")

    def _ask_anew(self) -> None:
        """Collect what the user asks for, and what is chosen for that, and so on; what was chosen before may go."""
        self._asked = {}
        roots = [(requirement, "") for requirement in self._wanted.requirements]
        waiting = [each for each in roots if applies(each[0], self._target, frozenset())]
        expanded: dict[str, frozenset[str]] = {}
        while waiting:
            requirement, by = waiting.pop(0)
            name = canonicalize_name(requirement.name)
            asked = self._asked.setdefault(name, _Asked())
            asked.requirements.append((requirement, by))
            found = self._chosen.get(name)
            if found is None or expanded.get(name) == asked.extras or not self._fits(name, found.version):
                continue
            before, expanded[name] = expanded.get(name), asked.extras
            waiting += self._requirements_of(found, asked.extras, before)
        for constraint in self._wanted.constraints:
            asked_for = self._asked.get(canonicalize_name(constraint.name))
            if asked_for is not None and applies(constraint, self._target, frozenset()):
                asked_for.requirements.append((constraint, "a constraint"))

    def _requirements_of(
        self, found: Found, extras: frozenset[str], before: frozenset[str] | None
    ) -> list[tuple[Requirement, str]]:
        """Return the requirements of a wheel; with `before`, only those that the further extras bring."""
        who = f"{found.name} {found.version}"
        parsed = [each for each in map(_parse, found.requires) if each is not None]
        new = [each for each in parsed if applies(each, self._target, extras)]
        if before is not None:
            new = [each for each in new if not applies(each, self._target, before)]
        for each in new:
            _check_address(each, who)
        return [(each, who) for each in new]

    def _fits(self, name: str, version: str) -> bool:
        return _holds(self._asked[name].specifier, version) or bool(self._asked[name].url)

    def _is_settled(self, name: str) -> bool:
        """Return whether something good enough is chosen for a name, or there already."""
        asked = self._asked[name]
        if (found := self._chosen.get(name)) is not None and self._fits(name, found.version):
            return not asked.url or found.is_direct
        return not asked.url and not asked.extras and self._fits(name, self._target.installed.get(name, ""))

    def _line(self, name: str) -> str:
        """Return what to ask for: one line with all that is asked of a name."""
        asked = self._asked[name]
        extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
        if asked.url:
            return f"{name}{extras} @ {asked.url}"
        installed = self._target.installed.get(name, "")
        # Of what is there, only the requirements of its extras are of interest.
        specifier = f"=={installed}" if asked.extras and self._fits(name, installed) else str(asked.specifier)
        self._check_possible(name, asked)
        return f"{name}{extras}{specifier}"

    def _check_possible(self, name: str, asked: _Asked) -> None:
        """Raise `UsageError` where two ask for versions, and one of them for exactly one that the other excludes."""
        pins = [
            (each.version, by) for spec, by in asked.requirements for each in spec.specifier if each.operator == "=="
        ]
        for version, by in pins:
            for other, other_by in asked.requirements:
                if "*" not in version and not _holds(other.specifier, version):
                    one, two = _who(by), _who(other_by)
                    raise UsageError(
                        f"{one} asks for {name} {version}, and {two} for {name}{other.specifier}: both cannot be had."
                    )


def _who(by: str) -> str:
    return by or "one requirement"


def _check_address(requirement: Requirement, who: str) -> None:
    """Raise `UsageError` where a package has something built or read on this machine."""
    url = requirement.url
    if url is not None and not (is_web_address(url) and is_wheel_address(url)):
        raise UsageError(
            f"{who} asks for {requirement.name} at '{shown(url)}', which is no wheel on the web: a package decides "
            "neither what is built on this machine nor what is read."
        )


def _parse(text: str) -> Requirement | None:
    """Return a requirement from the metadata of a wheel; `None` for one that nobody can read."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None
