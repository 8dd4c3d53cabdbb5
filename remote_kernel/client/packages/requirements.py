"""Requirements as users write them: names, wheels, and files of pip's form.

A file may be a stranger's. Nothing that it asks for is built on this machine, no variable of this machine's environment
gets into it, and that of a project names nothing outside its project.
"""

import contextlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from remote_kernel.client.files.local_paths import expand_user
from remote_kernel.client.packages.addresses import host_of, is_file_address, is_index_address, is_wheel_address
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import UsageError
from remote_kernel.core.project_settings import TABLE, ProjectSettings

# Files may name files.
MAX_FILES = 100

# What is larger is no list of requirements.
MAX_FILE_BYTES = 1_000_000

# Options that say where pip looks and what it takes, and whether a value stands behind them.
_INDEXES = frozenset({"-i", "--index-url", "--extra-index-url"})
_FIND_LINKS = frozenset({"-f", "--find-links"})
_TRUSTED_HOST = "--trusted-host"
_ALONE = frozenset({"--no-index", "--pre", "--prefer-binary"})
_OTHER_FILES = frozenset({"-r", "--requirement", "-c", "--constraint"})
_REQUIRE_HASHES = "--require-hashes"
# Wheels alone are taken, whatever these say.
_IDLE = frozenset({"--only-binary", "--no-binary", "--use-feature"})

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[= ]\s*(?P<algorithm>\w+):(?P<digest>[0-9a-fA-F]+)")
# As pip has it, which puts in the variable's value, also into addresses of strangers.
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")


@dataclass(slots=True)
class Wanted:
    """Wanted packages.

    Attributes:
        requirements: what is asked for.
        constraints: what has to hold of whatever is installed.
        options: of pip, from files.
        hashes: checksums that a file allows, by the requirement's name as it stands there.
        requires_hashes: whether nothing may be installed that has none of these, as a file says.
        sources: hosts that files name as places of packages.
        unchecked: those of them, or others, of which no certificate is asked.
    """

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)
    requires_hashes: bool = False
    sources: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def describe_sources(self, others: Iterable[str] = ()) -> str:
        """Return what to tell of the places that files name; "" where they name none.

        Args:
            others: hosts that packages name.
        """
        places = [
            f"{host} (whose certificate is not checked)" if host in self.unchecked else host
            for host in dict.fromkeys([*self.sources, *self.unchecked, *others])
        ]
        if not places:
            return ""
        return f" What was asked for has packages looked for at {', '.join(places)}: who is there decides what they do."


def parse_wanted(names: Sequence[str], files: Sequence[str], base: Path, *, within: Path | None = None) -> Wanted:
    """Return what requirements (such as `numpy>=2`), paths of wheels, and requirement files ask for.

    Args:
        base: what relative paths are relative to.
        within: the folder of a project, which alone these may name files in; `None` for what the user has named.

    Raises:
        UsageError: one of them cannot be read, or asks for what is no wheel.
    """
    wanted = Wanted()
    reader = _Reader(wanted, base, within)
    for name in names:
        requirement = reader.parse(name)
        wanted.requirements.append(requirement)
        if within is not None:
            reader.note_source(requirement.url)
    for file in files:
        reader.read(base / expand_user(file), is_constraint=False)
    return wanted


def wanted_by(project: ProjectSettings | None) -> Wanted:
    """Return the packages that a project's settings name; raises `UsageError` where they name none, and as above."""
    if project is None or not (project.packages or project.packages_file):
        raise UsageError(
            f"No project's settings name packages: write 'packages = [\"numpy>=2\"]' under [{TABLE}] in a "
            "pyproject.toml, beside the notebook or above it."
        )
    files = [project.packages_file] if project.packages_file else []
    folder = Path(project.folder)
    return parse_wanted(project.packages, files, folder, within=folder)


def paths_named_by(project: ProjectSettings) -> set[Path]:
    """Return what decides what pip is asked for a project, and where it looks: its lists of packages, those that they
    name, wheels, and folders that pip looks into. Whether they are there or make sense does not matter. Blocks."""
    naming = _Naming(Path(project.folder))
    for name in project.packages:
        naming.add_requirement(name)
    if project.packages_file:
        naming.add_list(Path(project.folder, project.packages_file))
    return naming.paths


class _Naming:
    """Collects the paths that lists of packages name."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lists: set[Path] = set()
        self.paths: set[Path] = set()

    def add_list(self, path: Path) -> None:
        self.paths.add(path)
        if path in self._lists or len(self._lists) >= MAX_FILES:
            return
        self._lists.add(path)
        with contextlib.suppress(UsageError):
            for line in _lines(_read_text(path)):
                self._add_line(line, path.parent)

    def _add_line(self, line: str, folder: Path) -> None:
        if not line.startswith("-"):
            self.add_requirement(re.split(r"\s--[a-z-]+", line, maxsplit=1)[0])
            return
        name, value = _split_option(line)
        with contextlib.suppress(UsageError, ValueError):
            if name in _OTHER_FILES and value:
                self.add_list(folder / expand_user(value))
            elif name in _INDEXES | _FIND_LINKS and is_file_address(value):
                self._add_address(value)
            elif name in _FIND_LINKS and value and "://" not in value:
                self.paths.add(folder / expand_user(value))

    def add_requirement(self, text: str) -> None:
        """Add the wheel that a requirement names, if it names one here."""
        address = text.partition("@")[2].partition(";")[0].strip()
        with contextlib.suppress(UsageError, ValueError):
            if is_file_address(address):
                self._add_address(address)
            elif not address and text.strip().endswith(".whl"):
                self.paths.add(self._base / expand_user(text.strip()))

    def _add_address(self, address: str) -> None:
        self.paths.add(Path(url2pathname(urlsplit(address).path)))


def parse_requirement(text: str, base: Path) -> Requirement:
    """Return a requirement, or that of a wheel's path; raises `UsageError`."""
    if text.endswith(".whl") and "@" not in text:
        return _of_wheel(base / expand_user(text), text)
    with contextlib.suppress(InvalidRequirement):
        requirement = Requirement(text)
        if text.isprintable() and (requirement.url is None or is_wheel_address(requirement.url)):
            return requirement
    raise UsageError(
        f"'{shown(text)}' is not the name of a package, such as 'numpy' or 'numpy>=2', nor the path of a wheel."
    )


def _of_wheel(path: Path, text: str) -> Requirement:
    try:
        name, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        raise UsageError(f"'{text}' is not the name of a wheel.") from None
    if not path.is_file():
        raise UsageError(f"There is no wheel '{text}' on this machine.")
    return Requirement(f"{name} @ {path.resolve().as_uri()}")


class _Reader:
    """Reads files of requirements, and those that they name."""

    def __init__(self, wanted: Wanted, base: Path, within: Path | None) -> None:
        self._wanted = wanted
        self._base = base
        self._within = within.resolve() if within else None
        self._count = 0

    def parse(self, text: str) -> Requirement:
        """Return a requirement; raises `UsageError`, also for a file that is not to be named."""
        requirement = parse_requirement(text, self._base)
        if requirement.url is not None:
            self._check_address(requirement.url)
        return requirement

    def _check_address(self, address: str) -> None:
        if is_file_address(address):
            self._check_within(Path(url2pathname(urlsplit(address).path)))

    def note_source(self, url: str | None) -> None:
        """Note where a file has packages looked for."""
        if url is not None and (host := host_of(url)):
            self._wanted.sources.append(host)

    def read(self, path: Path, *, is_constraint: bool) -> None:
        """Add what a file asks for."""
        self._check_within(path)
        self._count += 1
        if self._count > MAX_FILES:
            raise UsageError(f"{path} names itself, or too many files one after the other.")
        for line in _lines(_read_text(path)):
            if variable := _VARIABLE.search(line):
                raise UsageError(
                    f"{path} asks for {variable[0]}, and no variable of this machine is put into requirements: "
                    "say it in pip's own settings, such as PIP_INDEX_URL."
                )
            if line.startswith("-"):
                self._take_option(line, path, is_constraint=is_constraint)
            else:
                self._take_requirement(line, path, is_constraint=is_constraint)

    def _check_within(self, path: Path) -> None:
        if self._within is not None and not path.resolve().is_relative_to(self._within):
            raise UsageError(
                f"The project's requirements name '{shown(str(path))}', which is outside its folder: "
                "a project names what is in it, and '%session install' takes anything."
            )

    def _take_requirement(self, line: str, path: Path, *, is_constraint: bool) -> None:
        plain, *_ = re.split(r"\s--[a-z-]+", line, maxsplit=1)
        try:
            requirement = parse_requirement(plain.strip(), self._base)
        except UsageError:
            raise UsageError(
                f"{path}: '{shown(line)}' is no requirement that can be sent: build a wheel of it, and name its path."
            ) from None
        if requirement.url is not None:
            self._check_address(requirement.url)
            self.note_source(requirement.url)
        (self._wanted.constraints if is_constraint else self._wanted.requirements).append(requirement)
        self._take_hashes(line, path, requirement.name)

    def _take_hashes(self, line: str, path: Path, name: str) -> None:
        hashes = [(match["algorithm"].lower(), match["digest"].lower()) for match in _HASH.finditer(line)]
        if not hashes:
            return
        allowed = {digest for algorithm, digest in hashes if algorithm == "sha256"}
        if not allowed:
            raise UsageError(
                f"{path}: '{name}' has no checksum of the kind sha256, which is the one that is looked at."
            )
        self._wanted.hashes.setdefault(name, set()).update(allowed)
        self._wanted.requires_hashes = True

    def _take_option(self, line: str, path: Path, *, is_constraint: bool) -> None:
        name, value = _split_option(line)
        if name in _OTHER_FILES and value:
            is_constraint = is_constraint or name in {"-c", "--constraint"}
            self.read(path.parent / expand_user(value), is_constraint=is_constraint)
        elif name in _INDEXES | _FIND_LINKS and is_index_address(value):
            self._add_place(name, value)
        elif name in _FIND_LINKS and value and "://" not in value:
            folder = path.parent / expand_user(value)
            self._check_within(folder)
            self._wanted.options += [name, str(folder)]
        elif name == _TRUSTED_HOST and value:
            self._wanted.options += [name, value]
            self._wanted.unchecked.append(shown(value))
        elif name in _ALONE and not value:
            self._wanted.options.append(name)
        elif name == _REQUIRE_HASHES:
            self._wanted.requires_hashes = True
        elif name in _INDEXES | _FIND_LINKS and value:
            raise UsageError(
                f"{path}: '{shown(line)}' is no place where packages can be looked for: use an address that begins "
                "with https:// or http://."
            )
        elif name not in _IDLE:
            raise UsageError(
                f"{path}: '{shown(line)}' is not understood: build a wheel of what it asks for, and name its path."
            )

    def _add_place(self, name: str, address: str) -> None:
        self._check_address(address)
        self._wanted.options += [name, address]
        self.note_source(address)


def _split_option(line: str) -> tuple[str, str]:
    """Return an option and its value, "" for none; what has more words is given as one that is not understood."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = [line]
    name, equals, value = words[0].partition("=")
    if not equals and len(name) > 2 and not name.startswith("--"):  # "-rother.txt"
        name, value = name[:2], name[2:]
    values = [each for each in (value, *words[1:]) if each]
    if len(values) > 1 and name not in _OTHER_FILES:
        return ("", "") if name not in _IDLE else (name, "")
    return name, " ".join(values)


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            raise UsageError(f"cannot read {path}: {'it is no file' if path.exists() else 'No such file or directory'}")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"cannot read {path}: it is too large to be a list of requirements")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments, those that go on joined."""
    for line in re.sub(r"\\\r?\n", "", text).splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield stripped


def allowed_hashes(hashes: Mapping[str, set[str]], name: str) -> set[str]:
    """Return the checksums that are allowed for a normalized name; none where all are."""
    from packaging.utils import canonicalize_name

    return {each for spelled, those in hashes.items() if canonicalize_name(spelled) == name for each in those}
