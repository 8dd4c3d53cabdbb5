"""Decision which session a kernel is bound to, by its notebook, its user and the settings."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.identity import Identifier, Scope, derive_identifier, derive_kernel_name, job_id, user_name
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.frames import DEFAULT_KERNEL, FRESH_PREFIX
from remote_kernel.kernel.identity.notebook_path import canonical
from remote_kernel.kernel.session.binding import Binding

_PROJECT_MARKS = (".git", "pyproject.toml")


def decide(
    settings: Settings, environ: Mapping[str, str], *, notebook: Path | None, load_key: Callable[[], bytes]
) -> Binding:
    """Return the binding for the notebook at the canonical path `notebook`.

    Raises:
        SettingsError, IdentityError: the user, the job or the key is not known.
    """
    spec = settings.pod_kernel
    fresh = f"{FRESH_PREFIX}{secrets.token_hex(6)}" if settings.is_fresh else ""
    if settings.identifier is not None:
        return Binding(identifier=settings.identifier, kernel=fresh or DEFAULT_KERNEL, kernelspec=spec)
    key = load_key()
    user = user_name(environ, login_name())
    if settings.scope is Scope.NOTEBOOK:
        if notebook is None:
            private = derive_identifier(key, "private", user, secrets.token_hex(16))
            return Binding(identifier=private, kernel=DEFAULT_KERNEL, kernelspec=spec, is_private=True)
        identifier = derive_identifier(key, "notebook", user, str(notebook), spec)
        return Binding(identifier=identifier, kernel=fresh or DEFAULT_KERNEL, kernelspec=spec)
    if settings.scope is Scope.JOB:
        identifier = derive_identifier(key, "job", user, job_id(environ))
    else:
        identifier = derive_identifier(key, "project", user, _project(settings, notebook))
    of_notebook = derive_kernel_name(key, str(notebook) if notebook else secrets.token_hex(16), spec)
    return Binding(identifier=identifier, kernel=fresh or of_notebook, kernelspec=spec)


def _project(settings: Settings, notebook: Path | None) -> str:
    """Return what names the project: the setting, else the nearest folder above the notebook that looks like one."""
    if settings.project:
        return settings.project
    if notebook is None:
        raise SettingsError(
            "REMOTE_KERNEL_SCOPE is 'project' but neither project nor notebook is known: set REMOTE_KERNEL_PROJECT."
        )
    for folder in notebook.parents:
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return str(folder)
    return str(notebook.parent)


def login_name() -> str:
    """Return the login name, or "" where the account has none, as in many containers."""
    import getpass  # late, as the start of a kernel waits for imports

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def identifier_of(
    notebook: str, settings: Settings, environ: Mapping[str, str], load_key: Callable[[], bytes]
) -> Identifier:
    """Return the identifier that a kernel of this notebook has; raises as `decide` does."""
    return decide(settings, environ, notebook=canonical(notebook), load_key=load_key).identifier
