"""Session identifiers: one stable HMAC of user and notebook, project or job.

    identifier = "nb-" + HMAC-SHA256(user key, scope parts) in hex, cut to 48 characters

The same user and notebook give the same identifier in every process; nobody without the key can guess it. Sources of
the rules: sections "Identifier" and "Data-plane API" of the service's documentation and of its 2025-02-02
specification; `[A-Za-z0-9-]{4,128}` satisfies every version of them.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

from remote_kernel.core.errors import IdentityError, SettingsError

Identifier = NewType("Identifier", str)

KEY_BYTES = 32
IDENTIFIER_LENGTH = 48

_DOCUMENTED = re.compile(r"[A-Za-z0-9|\-&^%$#(){}\[\];<>]{4,128}")
_SPECIFIED = re.compile(r"[A-Za-z0-9\-_]{1,256}")

# A contents drive such as "RTC:" in front of a path: one word, then a colon. One letter is a Windows drive.
_DRIVE_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]+:")

# Job ids of the usual CI systems and schedulers; those that stay the same over a retry of a step come first.
JOB_VARIABLES = (
    "REMOTE_KERNEL_JOB_ID",
    "GITHUB_RUN_ID",
    "CI_JOB_ID",
    "BUILD_BUILDID",
    "BUILDKITE_JOB_ID",
    "CIRCLE_WORKFLOW_JOB_ID",
    "BUILD_TAG",
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "AZ_BATCH_TASK_ID",
    "AWS_BATCH_JOB_ID",
    "CLOUD_RUN_EXECUTION",
)


class Scope(StrEnum):
    """Scope of a session: one for each notebook, project or job."""

    NOTEBOOK = "notebook"
    PROJECT = "project"
    JOB = "job"


def parse_identifier(text: str) -> Identifier:
    """Accept a literal identifier that at least one published version of Azure's rules allows.

    Raises:
        IdentityError: no version allows it.
    """
    if not is_identifier(text):
        raise IdentityError(
            "REMOTE_KERNEL_IDENTIFIER is not one that Azure allows: use 4 to 128 letters, digits and hyphens"
        )
    return Identifier(text)


def is_identifier(text: str) -> bool:
    """Return whether at least one published version of Azure's rules allows `text`."""
    return bool(_DOCUMENTED.fullmatch(text) or _SPECIFIED.fullmatch(text))


def parse_key(text: str) -> bytes:
    """Decode a user key from base64 (standard or URL-safe).

    Raises:
        IdentityError: not base64, or shorter than 32 bytes.
    """
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise IdentityError(
            "REMOTE_KERNEL_IDENTITY_KEY is not base64: set it to 32 random bytes, as from 'openssl rand -base64 32'"
        ) from None
    if len(key) < KEY_BYTES:
        raise IdentityError(
            f"REMOTE_KERNEL_IDENTITY_KEY holds {len(key)} bytes and needs {KEY_BYTES}: "
            "make one with 'openssl rand -base64 32'"
        )
    return key


def derive_identifier(key: bytes, *parts: str) -> Identifier:
    """Return the identifier of these scope parts under the user's key.

    The parts are joined so that no two lists of parts meet, after Unicode normalisation (NFC), because file
    systems differ in how they store an accented letter.
    """
    digest = _digest(key, parts)
    return Identifier(f"nb-{digest}"[:IDENTIFIER_LENGTH])


def derive_kernel_name(key: bytes, *parts: str) -> str:
    """Return the name of one notebook's kernel inside a shared pod; it says nothing about the notebook."""
    return f"k-{_digest(key, ('kernel', *parts))[:16]}"


def _digest(key: bytes, parts: tuple[str, ...]) -> str:
    text = json.dumps([unicodedata.normalize("NFC", part) for part in parts])
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def user_name(environ: Mapping[str, str], login: str) -> str:
    """Return who the user is: `REMOTE_KERNEL_USER`, else JupyterHub's user and server, else the login name.

    Raises:
        SettingsError: none of the three is known, as for a user id without an account in a container.
    """
    if user := environ.get("REMOTE_KERNEL_USER"):
        return user
    if hub_user := environ.get("JUPYTERHUB_USER"):
        # The separator cannot be part of a JupyterHub user name as it stands in a URL.
        return f"{hub_user}/{environ.get('JUPYTERHUB_SERVER_NAME', '')}"
    if not login:
        raise SettingsError("this account has no login name: set REMOTE_KERNEL_USER to a name of your choice")
    return login


def job_id(environ: Mapping[str, str]) -> str:
    """Return the id of the running job.

    Raises:
        SettingsError: neither `REMOTE_KERNEL_JOB_ID` nor a variable of a known scheduler is set.
    """
    for name in JOB_VARIABLES:
        if environ.get(name):
            return f"{name}={environ[name]}" if name != "REMOTE_KERNEL_JOB_ID" else environ[name]
    raise SettingsError("REMOTE_KERNEL_SCOPE is 'job' but no job id is known: set REMOTE_KERNEL_JOB_ID")


def has_drive_prefix(path: str) -> bool:
    """Return whether a file name in `path` starts with a contents drive such as `RTC:`, so that it may be no file
    path."""
    return any(_DRIVE_PREFIX.match(segment) for segment in path.replace("\\", "/").split("/"))


def session_label(key: bytes, identifier: str) -> str:
    """Return eight hexadecimal digits that stand for an identifier where it must not be shown; without `key`, nobody
    can tell whether a guess at the identifier is right."""
    return hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:8]
