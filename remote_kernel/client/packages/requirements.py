"""Requirements as users write them: names, wheels, and files of pip's form."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from remote_kernel.client.files.local_paths import expand_user
from remote_kernel.core.errors import UsageError
from remote_kernel.core.project_settings import TABLE, ProjectSettings

# Files may name files.
MAX_DEPTH = 10

# Options that say where pip looks and what it takes, and whether a value stands behind them.
_WITH_VALUE = frozenset({"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host"})
_ALONE = frozenset({"--no-index", "--pre", "--prefer-binary"})
_OTHER_FILES = frozenset({"-r", "--requirement", "-c", "--constraint"})

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[= ]sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(slots=True)
class Wanted:
    """Wanted packages.

    Attributes:
        requirements: what is asked for.
        constraints: what has to hold of whatever is installed.
        options: of pip, from files.
        hashes: checksums that a file allows, by the requirement's name as it stands there.
    """

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)


def parse_wanted(names: Sequence[str], files: Sequence[str], base: Path) -> Wanted:
    """Return what requirements (such as `numpy>=2`), paths of wheels, and requirement files ask for.

    Args:
        base: what relative paths are relative to.

    Raises:
        UsageError: one of them cannot be read, or asks for what is no wheel.
    """
    wanted = Wanted()
    for name in names:
        wanted.requirements.append(parse_requirement(name, base))
    for file in files:
        _read(base / expand_user(file), wanted, base, is_constraint=False, depth=0)
    return wanted


def wanted_by(project: ProjectSettings | None) -> Wanted:
    """Return the packages that a project's settings name; raises `UsageError` where they name none, and as above."""
    if project is None or not (project.packages or project.packages_file):
        raise UsageError(
            f"No project's settings name packages: write 'packages = [\"numpy>=2\"]' under [{TABLE}] in a "
            "pyproject.toml, beside the notebook or above it."
        )
    files = [project.packages_file] if project.packages_file else []
    return parse_wanted(project.packages, files, Path(project.folder))


def parse_requirement(text: str, base: Path) -> Requirement:
    """Return a requirement, or that of a wheel's path; raises `UsageError`."""
    if text.endswith(".whl") and "@" not in text:
        return _of_wheel(base / expand_user(text), text)
    try:
        return Requirement(text)
    except InvalidRequirement:
        raise UsageError(
            f"'{text}' is not the name of a package, such as 'numpy' or 'numpy>=2', nor the path of a wheel."
        ) from None


def _of_wheel(path: Path, text: str) -> Requirement:
    try:
        name, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        raise UsageError(f"'{text}' is not the name of a wheel.") from None
    if not path.is_file():
        raise UsageError(f"There is no wheel '{text}' on this machine.")
    return Requirement(f"{name} @ {path.resolve().as_uri()}")


def _read(path: Path, wanted: Wanted, base: Path, *, is_constraint: bool, depth: int) -> None:
    """Add what a file asks for."""
    if depth > MAX_DEPTH:
        raise UsageError(f"{path} names itself, or too many files one after the other.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    for line in _lines(text):
        if line.startswith("-"):
            _take_option(line, path, wanted, base, is_constraint=is_constraint, depth=depth)
        else:
            _take_requirement(line, path, wanted, base, is_constraint=is_constraint)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments, those that go on joined."""
    for line in re.sub(r"\\\n", "", text).splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield stripped


def _take_requirement(line: str, path: Path, wanted: Wanted, base: Path, *, is_constraint: bool) -> None:
    plain, *_ = re.split(r"\s--[a-z-]+", line, maxsplit=1)
    try:
        requirement = parse_requirement(plain.strip(), base)
    except UsageError:
        raise UsageError(
            f"{path}: '{line}' is no requirement that can be sent: build a wheel of it, and name its path."
        ) from None
    (wanted.constraints if is_constraint else wanted.requirements).append(requirement)
    if hashes := {match["sha256"] for match in _HASH.finditer(line)}:
        wanted.hashes.setdefault(requirement.name, set()).update(hashes)


def _take_option(line: str, path: Path, wanted: Wanted, base: Path, *, is_constraint: bool, depth: int) -> None:
    try:
        words = shlex.split(line)
    except ValueError:
        words = [line]
    name, equals, value = words[0].partition("=")
    if not equals and len(name) > 2 and not name.startswith("--"):  # "-rother.txt"
        name, value = name[:2], name[2:]
    value = value or " ".join(words[1:])
    if name in _OTHER_FILES and value:
        is_constraint = is_constraint or name in {"-c", "--constraint"}
        _read(path.parent / expand_user(value), wanted, base, is_constraint=is_constraint, depth=depth + 1)
    elif name in _WITH_VALUE and value:
        is_place = name in {"-f", "--find-links"} and "://" not in value
        wanted.options += [name, str(path.parent / expand_user(value)) if is_place else value]
    elif name in _ALONE and not value:
        wanted.options.append(name)
    elif name not in {"--only-binary", "--no-binary", "--require-hashes", "--use-feature"}:
        raise UsageError(f"{path}: '{line}' is not understood: build a wheel of what it asks for, and name its path.")


def allowed_hashes(hashes: Mapping[str, set[str]], name: str) -> set[str]:
    """Return the checksums that are allowed for a normalized name; none where all are."""
    from packaging.utils import canonicalize_name

    return {each for spelled, those in hashes.items() if canonicalize_name(spelled) == name for each in those}
