"""Explanations of 401 and 403 from the token's own claims, and of a pool in the making, with what mends each."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

from remote_kernel.core.pools.credential import AUDIENCE, EXECUTOR_ROLE, read_claims

_TENANT = re.compile(r'authorization_uri="[^"]*/([0-9a-fA-F-]{36})[/"]')
_POOL_PATH = re.compile(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/sessionPools/([^/]+)")


def describe_unauthorized(token: str, challenge: str) -> str:
    """Return the sentence for status 401; `challenge` is the answer's `WWW-Authenticate`."""
    claims = read_claims(token)
    audience, tenant = _text(claims, "aud"), _text(claims, "tid")
    expires_at = claims.get("exp")
    wanted = _TENANT.search(challenge)
    if isinstance(expires_at, int | float) and expires_at <= time.time():
        return "The token has expired: run 'az login', or renew REMOTE_KERNEL_TOKEN."
    if audience and audience.rstrip("/") != AUDIENCE:
        return (
            f"The session pool does not accept a token for {audience}; pools of Azure's public cloud want one for "
            f"{AUDIENCE}: check REMOTE_KERNEL_TOKEN_SCOPE, or renew REMOTE_KERNEL_TOKEN with "
            f"'az account get-access-token --resource {AUDIENCE}'."
        )
    if wanted and tenant and tenant != wanted[1].lower():
        return (
            f"The login is of tenant {tenant}, and the session pool of tenant {wanted[1]}: run "
            f"'az login --tenant {wanted[1]}', or set AZURE_TENANT_ID."
        )
    return (
        "The session pool does not accept the token: run 'az login', with --tenant if the pool is another tenant's, "
        "or renew REMOTE_KERNEL_TOKEN."
        if claims
        else "The session pool does not accept the token: run 'az login', or renew REMOTE_KERNEL_TOKEN."
    )


def describe_forbidden(token: str, url: str) -> str:
    """Return the sentence for status 403 of the pool at `url`."""
    who = _text(read_claims(token), "oid") or "<your object id>"
    return (
        "The login has no right to use the session pool. A role that was just given takes some minutes to work, and "
        "counts for tokens that were made since ('az logout' and 'az login' make one). Else the pool's owner gives the "
        f'role with: az role assignment create --role "{EXECUTOR_ROLE}" --assignee {who} '
        f"--scope {_resource_id(url)}"
    )


def describe_in_the_making(message: str) -> str:
    """Return the sentence for a pool that is being made, or updated, and has answered with `message`."""
    return (
        f"The session pool is not ready so far ({message.rstrip('.') or 'it gave no reason'}). A new one takes 9 "
        "minutes to an hour, a change 2 to 3 minutes. How far it is: az containerapp sessionpool show --name <pool> "
        "--resource-group <group> --query properties.provisioningState"
    )


def _resource_id(url: str) -> str:
    """Return the pool's id where its address holds it, as that of a built-in interpreter pool does."""
    found = _POOL_PATH.match(urlsplit(url).path)
    if found is None:
        return "<resource id of the pool>"
    subscription, group, name = found.groups()
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/sessionPools/{name}"


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""
