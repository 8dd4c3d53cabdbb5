"""Explanations of Azure logins that do not work, with the command that mends each."""

import re

from remote_kernel.core.errors import PoolError, PoolUnreachable, PoolUntrusted, Unauthorized
from remote_kernel.core.pools.credential import CredentialKind, resource_of

_CODE = re.compile(r"AADSTS(\d+)")

# OAuth's words for a fault that passes (RFC 6749, 4.1.2.1), Entra's number for one, and what azure-identity leaves of
# the answer of an identity endpoint: its status, in the text.
_FAULT = re.compile(
    r"\b(temporarily_unavailable|server_error|AADSTS90033)\b|Token request error: (\(\w+\) )?(429|5\d\d)\b"
)

# Of "Microsoft Entra authentication and authorization error codes". {scope} and {resource} are what was asked for.
_BY_CODE: tuple[tuple[set[int], str], ...] = (
    (
        {500011, 500014, 650057},
        "The tenant of this login does not know {resource}: log in to the session pool's tenant with "
        "'az login --tenant <tenant>', and check REMOTE_KERNEL_TOKEN_SCOPE.",
    ),
    (
        {90002, 900023, 50020, 50034, 90072},
        "This login does not belong to the tenant that it names: log in to the session pool's tenant with "
        "'az login --tenant <tenant>', and check AZURE_TENANT_ID.",
    ),
    (
        {50055, 50057, 50058, 50076, 50078, 50079, 50132, 50133, 50173, 65001, 70008, 70043, 700082, 700084},
        "Microsoft Entra ID wants you to sign in again: run 'az login --scope {scope}'.",
    ),
    (
        {53000, 53001, 53002, 53003, 53004},
        "A policy of your organisation does not allow this login from here: run 'az login --scope {scope}' on a "
        "machine that it allows.",
    ),
    (
        {700016, 7000112},
        "The tenant has no application of this client id: check AZURE_CLIENT_ID and AZURE_TENANT_ID with "
        "'az ad app show --id <client id>'.",
    ),
    (
        {7000215, 7000222},
        "AZURE_CLIENT_SECRET is wrong or has expired: make a new one with "
        "'az ad app credential reset --id <client id>'.",
    ),
    (
        {700211, 700212, 700213, 70021},
        "The tenant does not trust this workload's token: compare issuer and subject with "
        "'az identity federated-credential list'.",
    ),
)

# What `DefaultAzureCredential` of azure-identity 1.27 says of the CLI, which it has asked among others.
_CLI_LINE = re.compile(r"^\s*AzureCliCredential: (.*)", re.MULTILINE)

_CLI_FAILURES = (
    ("Failed to invoke", "did not answer in time, or cannot be started"),
    ("Unexpected output", "printed something that is no token"),
)

_MISSING = {
    CredentialKind.DEFAULT: (
        "No Azure login was found for the session pool: run 'az login', or choose one with REMOTE_KERNEL_CREDENTIAL, "
        "or set REMOTE_KERNEL_TOKEN."
    ),
    CredentialKind.CLI: "The Azure CLI is not logged in: run 'az login'.",
    CredentialKind.MANAGED_IDENTITY: (
        "This machine has no such managed identity: assign one with 'az vm identity assign' or its like, name it with "
        "AZURE_CLIENT_ID if it is user-assigned, or choose another REMOTE_KERNEL_CREDENTIAL."
    ),
    CredentialKind.ENVIRONMENT: (
        "REMOTE_KERNEL_CREDENTIAL is 'environment': set AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or "
        "AZURE_CLIENT_CERTIFICATE_PATH."
    ),
    CredentialKind.WORKLOAD_IDENTITY: (
        "This is not a pod with a workload identity: set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
        "AZURE_FEDERATED_TOKEN_FILE, or choose another REMOTE_KERNEL_CREDENTIAL."
    ),
    CredentialKind.BROWSER: (
        "Nobody signed in, or there is no browser here: set REMOTE_KERNEL_CREDENTIAL to 'cli' and run "
        "'az login --use-device-code'."
    ),
}


def describe(error: Exception, kind: CredentialKind, scope: str) -> PoolError:
    """Return our error for one of azure-identity's; nothing of its text is passed on but Entra's error code."""
    text = f"{error} {getattr(error, 'inner_exception', '')}"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return PoolUntrusted(
            "The certificate of Microsoft Entra ID cannot be verified: set SSL_CERT_FILE or REQUESTS_CA_BUNDLE to the "
            "file with your organisation's certificates."
        )
    if _FAULT.search(text):
        return PoolUnreachable(
            "What gives the tokens, Microsoft Entra ID or this machine's identity endpoint, has a fault or is busy: "
            "try again, and look at status.azure.com if it stays like this."
        )
    if found := _CODE.search(text):
        return Unauthorized(_refused(int(found[1]), scope))
    if _is_network(error):
        return PoolUnreachable(
            "Microsoft Entra ID, which gives the tokens, cannot be reached: check the network, HTTPS_PROXY and "
            "AZURE_AUTHORITY_HOST."
        )
    return Unauthorized(_special(text, kind, scope) or _MISSING[kind])


def _refused(code: int, scope: str) -> str:
    sentence = next(
        (sentence for codes, sentence in _BY_CODE if code in codes),
        "Microsoft Entra ID refuses this login: run 'az login --scope {scope}', or look the code up.",
    )
    return f"{sentence.format(scope=scope, resource=resource_of(scope))} (AADSTS{code})"


def _is_network(error: Exception) -> bool:
    """Return whether there was no connection, or none to its end; credentials wrap what their transport raised."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ServiceRequestError | ServiceResponseError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _special(text: str, kind: CredentialKind, scope: str) -> str:
    """Return a sentence for what `az` says of itself, alone or among the logins of the default; "" for none."""
    said = _CLI_LINE.search(text) if kind is CredentialKind.DEFAULT else None
    if kind is not CredentialKind.CLI and said is None:
        return ""
    says = text if said is None else said[1]
    if "not found on path" in says:
        return (
            ""
            if said is not None
            else (
                "There is no Azure CLI on the path: install it (https://aka.ms/installazurecli) and run 'az login', or "
                "choose another REMOTE_KERNEL_CREDENTIAL."
            )
        )
    if "az login" in says:
        return ""
    what = next((what for words, what in _CLI_FAILURES if words in says), "gave no token")
    return f"The Azure CLI {what}: see what 'az account get-access-token --resource {resource_of(scope)}' says."
