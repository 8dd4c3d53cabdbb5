"""Azure logins by `azure-identity`."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from remote_kernel.client.auth.login_errors import describe
from remote_kernel.client.auth.tokens import Token
from remote_kernel.client.http.certificates import find_bundle
from remote_kernel.core.pools.credential import Credential, CredentialKind

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# Azure's defaults wait for up to five minutes for one connection, and try that ten times. Who waits for the pool tries
# again anyway, and shows it.
RETRIES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Timings of a login: how long what gives the tokens may take.

    Attributes:
        connect_seconds, read_seconds: for a request to Entra.
        process_seconds: for `az`, which takes seconds where it is cold; azure-identity gives it ten.
        patience_seconds: for a token …
        browser_patience_seconds: … and where the user has to sign in for it.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    process_seconds: int = 40
    patience_seconds: float = 60.0
    browser_patience_seconds: float = 300.0


DEFAULT_TIMINGS = Timings()


class AzureLogin:
    """Gets tokens for one scope from one kind of credential.

    The credentials are azure-identity's blocking ones, called in a thread (`client.auth.tokens`). Those of
    `azure.identity.aio` would need aiohttp and its seven packages, or do their requests in threads as well, by a
    transport that the event loop waits for at its end; and there is none for the browser.

    Each token is asked of a new credential, which is closed again: a token is held in one place only, so that one that
    was refused can be forgotten. The browser's credential stays, as it alone can renew without another sign-in.
    """

    def __init__(
        self, credential: Credential, scope: str, environ: Mapping[str, str], timings: Timings = DEFAULT_TIMINGS
    ) -> None:  # fmt: skip
        self._timings = timings
        self._chosen = credential
        self._scope = scope
        self._environ = environ
        self._browser: TokenCredential | None = None
        is_browser = credential.kind is CredentialKind.BROWSER
        self.is_silent = not is_browser
        self.patience_seconds = timings.browser_patience_seconds if is_browser else timings.patience_seconds

    def get_token(self) -> Token:
        """Return a new token.

        Raises:
            Unauthorized: there is no such login, or Entra refuses it.
            PoolUnreachable, PoolUntrusted: Entra cannot be reached, or its certificate not be verified.
            SettingsError: the certificates of the environment are not there.
        """
        # Imported late: most kernels use the local pool or are idle, and the import takes half a second and 30 MB.
        from azure.core.exceptions import AzureError

        options = self._options()
        try:
            with contextlib.ExitStack() as stack:
                token = self._open(stack, options).get_token(self._scope)
        except (AzureError, ValueError) as error:
            # Without the cause: its text may hold parts of requests.
            raise describe(error, self._chosen.kind, self._scope) from None
        return Token(token.token, float(token.expires_on))

    def _open(self, stack: contextlib.ExitStack, options: dict[str, Any]) -> "TokenCredential":
        from azure import identity

        match self._chosen.kind:
            case CredentialKind.CLI:
                return stack.enter_context(identity.AzureCliCredential(process_timeout=self._timings.process_seconds))
            case CredentialKind.MANAGED_IDENTITY:
                # Without our bound on retries: the endpoint of a virtual machine wants to be asked for a minute.
                options.pop("retry_total")
                # azure-identity reads the variable for its default chain only.
                if client_id := self._chosen.client_id or self._environ.get("AZURE_CLIENT_ID"):
                    options["client_id"] = client_id
                return stack.enter_context(identity.ManagedIdentityCredential(**options))
            case CredentialKind.ENVIRONMENT:
                return stack.enter_context(identity.EnvironmentCredential(**options))
            case CredentialKind.WORKLOAD_IDENTITY:
                return stack.enter_context(identity.WorkloadIdentityCredential(**options))
            case CredentialKind.BROWSER:
                self._browser = self._browser or identity.InteractiveBrowserCredential(**options)
                return self._browser
            case CredentialKind.DEFAULT:
                process_seconds = self._timings.process_seconds
                default = identity.DefaultAzureCredential(process_timeout=process_seconds, **options)
                return stack.enter_context(default)

    def _options(self) -> dict[str, Any]:
        """Return what all credentials take that speak HTTP."""
        options: dict[str, Any] = {
            "connection_timeout": self._timings.connect_seconds, "read_timeout": self._timings.read_seconds,
            "retry_total": RETRIES,
        }  # fmt: skip
        if bundle := find_bundle(self._environ):
            options["connection_verify"] = str(bundle)
        if _is_private_cloud(self._environ.get("AZURE_AUTHORITY_HOST", "")):
            # Entra's clients ask the public cloud whether it knows the authority. It does not know a private cloud's,
            # and cannot be asked from inside one.
            options["disable_instance_discovery"] = True
        return options


def _is_private_cloud(authority: str) -> bool:
    from azure.identity import AzureAuthorityHosts

    known = {
        AzureAuthorityHosts.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_GOVERNMENT, AzureAuthorityHosts.AZURE_CHINA
    }  # fmt: skip
    return bool(authority) and (urlsplit(authority).netloc or authority.strip("/")) not in known
