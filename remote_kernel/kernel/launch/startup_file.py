"""The startup file: code that each new interpreter runs before the first cell."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from remote_kernel.client.files.local_paths import current_folder, expand_user
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.launch import MAX_NAME_BYTES, MAX_STARTUP_BYTES

if TYPE_CHECKING:
    from remote_kernel.core.project_settings import ProjectSettings

VARIABLE = "REMOTE_KERNEL_STARTUP"


class Startup(NamedTuple):
    """A startup file: its name and its text; "" for none."""

    name: str = ""
    text: str = ""


def startup_path(settings: Settings, project: "ProjectSettings | None") -> Path | None:
    """Return where the startup file is, that of the environment before the project's; raises `UsageError`."""
    if settings.startup:
        return current_folder() / expand_user(settings.startup)
    return Path(project.folder, project.startup) if project is not None and project.startup else None


def read_startup(settings: Settings, project: "ProjectSettings | None") -> Startup:
    """Return the startup file, that of the environment before the project's; raises `SettingsError`."""
    path = startup_path(settings, project)
    if path is None:
        return Startup()
    if settings.startup or project is None:
        return _read(path, VARIABLE)
    folder, source = Path(project.folder), f"'startup' in {project.folder}/pyproject.toml"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SettingsError(f"{source} is a link that leads out of the project: put the file itself there")
    return _read(path, source)


def _read(path: Path, source: str) -> Startup:
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{source} is {path}, which is no file: name a file of Python code")
        with path.open("rb") as file:
            data = file.read(MAX_STARTUP_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{source} is {path}, which cannot be read ({error.strerror}): correct it") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{source} is {path}, which is not UTF-8: save it so") from None
    if len(data) > MAX_STARTUP_BYTES:
        limit = MAX_STARTUP_BYTES // 1024
        raise SettingsError(f"{source} is {path}, which has more than {limit} KB: have it import what is longer")
    if "\0" in text:
        raise SettingsError(f"{source} is {path}, which is no text: name a file of Python code")
    return Startup(path.name[-MAX_NAME_BYTES // 4 :], text)
