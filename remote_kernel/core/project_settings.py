"""Settings of a project: `[tool.remote-kernel]` in its pyproject.toml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.forwarding import check_patterns

TABLE = "tool.remote-kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """Content of the table; "" and `()` mean "not said". Paths are relative to its folder, and lead to something in it.

    Attributes:
        folder: absolute path of the file's folder.
        workspace: folder that is the same here and in the session; "." for the file's own.
        workspace_down: whether what a cell makes in it comes here; `None` for "not said".
        packages_file: requirements that the session is to have.
        packages: the same, one by one.
        env: names and patterns of forwarded variables.
        startup: file that each new interpreter runs first.
    """

    folder: str
    workspace: str = ""
    workspace_down: bool | None = None
    packages_file: str = ""
    packages: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    startup: str = ""


KEYS = ("workspace", "workspace-down", "packages", "env", "startup")


# Parsed once, and read whenever a session begins or files of it come.
@lru_cache(maxsize=20)
def parse_project_settings(text: str, *, folder: str, file: str) -> ProjectSettings | None:
    """Read a pyproject.toml; `None` where it has no such table.

    Args:
        folder: the file's.
        file: what to call it in errors.

    Raises:
        SettingsError: the table cannot be used.
    """
    import tomllib  # late: most projects have no such table

    try:
        table = _table(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if TABLE not in text:
            return None  # whoever needs it will say so
        raise SettingsError(f"{file} cannot be read: {error}. Mend it, or take [{TABLE}] out of it.") from None
    if table is None:
        return None
    return _read(_Table(table, file), folder)


def _table(document: Mapping[str, Any]) -> object:
    tool = document.get("tool")
    return tool.get("remote-kernel") if isinstance(tool, dict) else None


def _read(table: "_Table", folder: str) -> ProjectSettings:
    table.check_keys()
    packages = table.fields.get("packages", "")
    return ProjectSettings(
        folder=folder,
        workspace=table.path("workspace", 'a folder, such as "."'),
        workspace_down=table.switch("workspace-down"),
        packages_file=table.path("packages", _PACKAGES) if isinstance(packages, str) else "",
        packages=() if isinstance(packages, str) else table.texts("packages", _PACKAGES),
        env=check_patterns(table.texts("env", _ENV), table.name("env")),
        startup=table.path("startup", 'a file, such as "startup.py"'),
    )


_ENV = 'a list of names and patterns, such as ["NAME", "OTHER_*"]'
_PACKAGES = 'a file, such as "requirements.txt", or a list, such as ["pandas>=2"]'


class _Table:
    """The table of one file.

    Args:
        value: what stands under its name.
        file: what to call the file.
    """

    def __init__(self, value: object, file: str) -> None:
        if not isinstance(value, dict):
            raise SettingsError(f"'remote-kernel' under [tool] in {file} is no table: write [{TABLE}]")
        self.fields: Mapping[str, Any] = value
        self._file = file

    def name(self, key: str) -> str:
        return f"{key!r} under [{TABLE}] in {self._file}"

    def check_keys(self) -> None:
        """Raise `SettingsError` for the first key that is none."""
        for key in self.fields:
            if key not in KEYS:
                from difflib import get_close_matches  # late, as the first cell of a kernel waits for imports

                nearest = get_close_matches(key.replace("_", "-"), KEYS, n=1)
                instead = f"did you mean {nearest[0]!r}?" if nearest else f"use {', '.join(KEYS)}"
                raise SettingsError(f"{self.name(key)} means nothing: {instead}")

    def path(self, key: str, wanted: str) -> str:
        """Return a path inside the file's folder; "" for none."""
        value = self.fields.get(key, "")
        if not isinstance(value, str) or (key in self.fields and not value.strip()) or "\0" in value:
            raise self._wrong(key, wanted)
        parts = value.replace("\\", "/").split("/")
        if value.startswith(("/", "\\", "~")) or ".." in parts or ":" in parts[0]:
            raise SettingsError(f"{self.name(key)} leads out of the project: use {wanted}, below its folder")
        return value

    def switch(self, key: str) -> bool | None:
        """Return true or false; `None` for neither."""
        value = self.fields.get(key)
        if not (value is None or isinstance(value, bool)):
            raise self._wrong(key, "true or false")
        return value

    def texts(self, key: str, wanted: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self.fields.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
            raise self._wrong(key, wanted)
        return tuple(values)

    def _wrong(self, key: str, wanted: str) -> SettingsError:
        return SettingsError(f"{self.name(key)} cannot be used: write {wanted}")
