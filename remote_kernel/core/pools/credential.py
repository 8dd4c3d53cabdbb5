"""Azure credentials by name, and the claims of an Entra token."""

import base64
import json
from enum import StrEnum
from typing import Any, NamedTuple

from remote_kernel.core.errors import SettingsError

# "Authentication" in the documentation of dynamic sessions: what a token is for in Azure's public cloud.
AUDIENCE = "https://dynamicsessions.io"
DEFAULT_TOKEN_SCOPE = f"{AUDIENCE}/.default"
# What its bearer has to have on the pool.
EXECUTOR_ROLE = "Azure ContainerApps Session Executor"


class CredentialKind(StrEnum):
    """The logins that `REMOTE_KERNEL_CREDENTIAL` names."""

    DEFAULT = "default"
    CLI = "cli"
    MANAGED_IDENTITY = "managed-identity"
    ENVIRONMENT = "environment"
    WORKLOAD_IDENTITY = "workload-identity"
    BROWSER = "browser"


class Credential(NamedTuple):
    """A login, and for managed identities which one; "" leaves that to `AZURE_CLIENT_ID`."""

    kind: CredentialKind = CredentialKind.DEFAULT
    client_id: str = ""


def parse_credential(text: str) -> Credential:
    """Read `cli`, `managed-identity:<client id>` and so on; "" is the default.

    Raises:
        SettingsError: it is none of them.
    """
    name, _, client_id = text.strip().partition(":")
    try:
        kind = CredentialKind(name or CredentialKind.DEFAULT)
    except ValueError:
        names = ", ".join(CredentialKind)
        raise SettingsError(f"REMOTE_KERNEL_CREDENTIAL is {name!r}: use one of {names}") from None
    if client_id and kind is not CredentialKind.MANAGED_IDENTITY:
        raise SettingsError("REMOTE_KERNEL_CREDENTIAL has a client id: only managed-identity:<client id> takes one")
    return Credential(kind=kind, client_id=client_id)


def parse_token_scope(text: str) -> str:
    """Read `REMOTE_KERNEL_TOKEN_SCOPE`; "" is the scope of the public cloud.

    Raises:
        SettingsError: it does not name a resource.
    """
    scope = text.strip() or DEFAULT_TOKEN_SCOPE
    if not resource_of(scope) or not scope.endswith("/.default"):
        raise SettingsError(
            f"REMOTE_KERNEL_TOKEN_SCOPE is {scope!r}: use a resource and '/.default', such as {DEFAULT_TOKEN_SCOPE}"
        )
    return scope


def resource_of(scope: str) -> str:
    """Return the resource of a scope, as `az account get-access-token --resource` wants it."""
    return scope.removesuffix("/.default")


def read_claims(token: str) -> dict[str, Any]:
    """Return what a token says, without checking it; {} when it is no JWT, as a local pool's (RFC 7519, 7.2)."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        value = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
