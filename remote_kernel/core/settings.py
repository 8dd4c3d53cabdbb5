"""Settings from environment variables, read once from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.identity import Identifier, Scope, parse_identifier
from remote_kernel.core.pools.credential import DEFAULT_TOKEN_SCOPE, Credential, parse_credential, parse_token_scope
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC
from remote_kernel.core.workspace.limits import MAX_BYTES, MAX_FILE_BYTES, MAX_FILES, WorkspaceLimits

# A pool of five with a cooldown of 300 s frees a session within that time.
DEFAULT_WAIT_SECONDS = 300.0
# A role on a pool works after half a minute to some minutes.
DEFAULT_ACCESS_WAIT_SECONDS = 120.0
DEFAULT_KEEPALIVE_MINUTES = 30.0

# Inside Jupyter's data folder.
DEFAULT_SAVES_FOLDER = "remote-kernel/saves"
# A save is as large as what the notebook holds; a laptop's disk bears a few of those.
DEFAULT_SAVES_KEPT = 5
DEFAULT_SAVES_BYTES = 5_000_000_000
# One is for people who can wait for a few minutes, and for what is lost otherwise.
DEFAULT_SAVE_BYTES = 2_000_000_000
DEFAULT_SAVE_SECONDS = 600.0

E = TypeVar("E", bound=StrEnum)

FORWARD_ENV = "REMOTE_KERNEL_FORWARD_ENV"


class Start(StrEnum):
    """Start of a session: with the first cell, or as the kernel starts."""

    LAZY = "lazy"
    EAGER = "eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a kernel; `None` and "" mean "not set".

    Attributes:
        endpoint: URL of the session pool; "" for the local pool.
        token: a ready-made bearer token.
        credential: which Azure login to ask for tokens where there is no ready-made one.
        token_scope: what for.
        scope: who shares a session.
        notebook: path of the notebook.
        project: name of the project, for scope `project`.
        identifier: a literal identifier; overrides everything else.
        pod_kernel: name of the kernelspec in the pod.
        is_fresh: whether to use an interpreter of one's own in the pod, which goes at shutdown.
        start: when the session is taken.
        keeps_history: whether the code of cells is kept on this machine, for arrow-up.
        forwarded: names and patterns of the variables that interpreters in the pod get.
        startup: path of the file that each of them runs first.
        hash_seed: their `PYTHONHASHSEED` where this machine has none.
        wait_seconds: how long a cell waits for a free session or a lost link.
        access_wait_seconds: how long the first cell waits until a role works, or the pool is made.
        keepalive_minutes: how long after the last activity the pod is kept warm.
        workspace_limits: beyond which nothing of it is sent.
        workspace: folder that is to be the same here and in the session; "" for none.
        brings_workspace_back: whether what cells change in it comes back; it does where nobody says otherwise.
        is_direct: whether requests on this machine may pass the pool by; `None` for the local pool alone.
        saves: folder where saves of variables are kept; "" for the one beside the identity key.
        saves_kept: how many of them are kept for a notebook.
        saves_max_bytes: how large they may be together; the newest is kept whatever it has.
        save_max_bytes: how large the variables of one may be.
        save_seconds: how long one may take.
        autosaves: whether variables are saved without being asked to.
        autorestores: whether the session after one that is lost begins with the newest save.
    """

    endpoint: str = ""
    token: str = field(default="", repr=False)
    credential: Credential = Credential()  # noqa: RUF009 - it is frozen
    token_scope: str = DEFAULT_TOKEN_SCOPE
    scope: Scope = Scope.NOTEBOOK
    notebook: str = ""
    project: str = ""
    identifier: Identifier | None = field(default=None, repr=False)
    pod_kernel: str = DEFAULT_KERNELSPEC
    is_fresh: bool = False
    start: Start = Start.LAZY
    keeps_history: bool = True
    forwarded: tuple[str, ...] = ()
    startup: str = ""
    hash_seed: str = ""
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    access_wait_seconds: float = DEFAULT_ACCESS_WAIT_SECONDS
    keepalive_minutes: float = DEFAULT_KEEPALIVE_MINUTES
    workspace: str = ""
    workspace_limits: WorkspaceLimits = WorkspaceLimits()  # noqa: RUF009 - it is frozen
    brings_workspace_back: bool | None = None
    is_direct: bool | None = None
    saves: str = ""
    saves_kept: int = DEFAULT_SAVES_KEPT
    saves_max_bytes: int = DEFAULT_SAVES_BYTES
    save_max_bytes: int = DEFAULT_SAVE_BYTES
    save_seconds: float = DEFAULT_SAVE_SECONDS
    autosaves: bool = False
    autorestores: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the `REMOTE_KERNEL_*` variables.

        Raises:
            SettingsError, IdentityError: one of them cannot be used; the text names it.
        """
        literal = environ.get("REMOTE_KERNEL_IDENTIFIER", "")
        return cls(
            endpoint=_parse_endpoint(environ.get("REMOTE_KERNEL_ENDPOINT", "").strip()),
            token=_parse_token(environ.get("REMOTE_KERNEL_TOKEN", "").strip()),
            credential=parse_credential(environ.get("REMOTE_KERNEL_CREDENTIAL", "")),
            token_scope=parse_token_scope(environ.get("REMOTE_KERNEL_TOKEN_SCOPE", "")),
            scope=_parse_choice(environ, "REMOTE_KERNEL_SCOPE", Scope.NOTEBOOK),
            notebook=environ.get("REMOTE_KERNEL_NOTEBOOK", ""),
            project=environ.get("REMOTE_KERNEL_PROJECT", ""),
            identifier=parse_identifier(literal) if literal else None,
            pod_kernel=environ.get("REMOTE_KERNEL_POD_KERNEL", "") or DEFAULT_KERNELSPEC,
            is_fresh=_parse_switch(environ, "REMOTE_KERNEL_FRESH", default=False),
            start=_parse_choice(environ, "REMOTE_KERNEL_START", Start.LAZY),
            keeps_history=_parse_switch(environ, "REMOTE_KERNEL_HISTORY", default=True),
            forwarded=_parse_forwarded(environ.get(FORWARD_ENV, "")),
            startup=environ.get("REMOTE_KERNEL_STARTUP", ""),
            hash_seed=_parse_hash_seed(environ.get("REMOTE_KERNEL_HASH_SEED", "")),
            wait_seconds=_parse_number(environ, "REMOTE_KERNEL_WAIT_SECONDS", DEFAULT_WAIT_SECONDS),
            access_wait_seconds=_parse_number(
                environ, "REMOTE_KERNEL_ACCESS_WAIT_SECONDS", DEFAULT_ACCESS_WAIT_SECONDS
            ),
            keepalive_minutes=_parse_number(environ, "REMOTE_KERNEL_KEEPALIVE_MINUTES", DEFAULT_KEEPALIVE_MINUTES),
            workspace=environ.get("REMOTE_KERNEL_WORKSPACE", ""),
            workspace_limits=WorkspaceLimits(
                max_files=int(_parse_number(environ, "REMOTE_KERNEL_WORKSPACE_MAX_FILES", MAX_FILES)),
                max_bytes=_parse_megabytes(environ, "REMOTE_KERNEL_WORKSPACE_MAX_MB", MAX_BYTES),
                max_file_bytes=_parse_megabytes(environ, "REMOTE_KERNEL_WORKSPACE_MAX_FILE_MB", MAX_FILE_BYTES),
            ),
            brings_workspace_back=_parse_optional_switch(environ, "REMOTE_KERNEL_WORKSPACE_DOWN"),
            is_direct=_parse_optional_switch(environ, "REMOTE_KERNEL_DIRECT"),
            saves=environ.get("REMOTE_KERNEL_SAVES", ""),
            saves_kept=int(_parse_number(environ, "REMOTE_KERNEL_SAVES_KEEP", DEFAULT_SAVES_KEPT)),
            saves_max_bytes=_parse_megabytes(environ, "REMOTE_KERNEL_SAVES_MAX_MB", DEFAULT_SAVES_BYTES),
            save_max_bytes=_parse_megabytes(environ, "REMOTE_KERNEL_SAVE_MAX_MB", DEFAULT_SAVE_BYTES),
            save_seconds=_parse_number(environ, "REMOTE_KERNEL_SAVE_SECONDS", DEFAULT_SAVE_SECONDS),
            autosaves=_parse_switch(environ, "REMOTE_KERNEL_AUTOSAVE", default=False),
            autorestores=_parse_switch(environ, "REMOTE_KERNEL_AUTORESTORE", default=False),
        )


def _parse_choice(environ: Mapping[str, str], name: str, default: E) -> E:
    text, kind = environ.get(name, ""), type(default)
    try:
        return kind(text or default)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}: use one of {', '.join(kind)}") from None


def _parse_forwarded(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    from remote_kernel.core.forwarding import parse_patterns  # late: every start of a kernel waits for imports

    return parse_patterns(text, FORWARD_ENV)


def _parse_endpoint(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        is_usable = is_usable and text.isprintable() and " " not in text
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(
            "REMOTE_KERNEL_ENDPOINT is not a URL: use the pool management endpoint, https://…, or unset it "
            "for the local pool"
        )
    if "@" in parts.netloc:
        raise SettingsError(
            "REMOTE_KERNEL_ENDPOINT holds a password: leave it out of the URL, as addresses are shown in errors and "
            "logs, and set REMOTE_KERNEL_TOKEN to the pool's token"
        )
    if "?" in text or "#" in text:
        raise SettingsError(
            "REMOTE_KERNEL_ENDPOINT goes on behind a '?' or '#': use the pool management endpoint alone, without a "
            "query"
        )
    return text.rstrip("/")


def _parse_token(text: str) -> str:
    if not all("!" <= character <= "~" for character in text):  # it goes into a header
        raise SettingsError(
            "REMOTE_KERNEL_TOKEN has a space, a line break or a letter that no token has: copy it again, in one piece"
        )
    return text


def _parse_hash_seed(text: str) -> str:
    if text and text != "random" and not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise SettingsError(f"REMOTE_KERNEL_HASH_SEED is {text!r}: use a number below 2**32, or random")
    return text


def _parse_number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise SettingsError(f"{name} is {text!r}: use a number of 0 or more")
    return number


def _parse_megabytes(environ: Mapping[str, str], name: str, default_bytes: int) -> int:
    return int(_parse_number(environ, name, default_bytes / 1e6) * 1e6)


_SWITCH = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}


def _parse_switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").lower()
    if text and text not in _SWITCH:
        raise SettingsError(f"{name} is {text!r}: use 1 or 0")
    return _SWITCH.get(text, default)


def _parse_optional_switch(environ: Mapping[str, str], name: str) -> bool | None:
    return _parse_switch(environ, name, default=False) if environ.get(name) else None


def log_level(environ: Mapping[str, str], default: str = "WARNING") -> str:
    """Return `REMOTE_KERNEL_LOG_LEVEL`, or `default` where it is not set or no level of Python's logging."""
    level = environ.get("REMOTE_KERNEL_LOG_LEVEL", "").upper()
    return level if level in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} else default
