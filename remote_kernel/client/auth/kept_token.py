"""Token of the Azure CLI, kept for the user's next kernel as safely as the CLI keeps its own.

`az` takes one to three seconds to start, and gives the same token for an hour. azure-identity keeps tokens for other
logins (`TokenCachePersistenceOptions`), and none for the CLI. What is kept here is one access token, beside the CLI's
own cache, which holds the refresh token besides: where that cache is a file that only its owner may read, this is one
too; where the system encrypts that cache, it encrypts this (`msal_extensions`, as azure-identity does it). Where it can
do so no more, nothing is kept, and each kernel asks `az`.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from remote_kernel.client.auth.tokens import REFRESH_AHEAD_SECONDS, Login, Token
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.pools.credential import Credential, CredentialKind, read_claims
from remote_kernel.io.private_files import is_private, make_private_folder, write_private

# The CLI's files: who is logged in, and its tokens, in the clear or encrypted by the system.
PROFILE, CLEAR_CACHE, ENCRYPTED_CACHE = "azureProfile.json", "msal_token_cache.json", "msal_token_cache.bin"

# The application to which those who are logged in to the CLI have signed in.
CLI_APP = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

# Logins of the default chain that come before the CLI. A machine's identity does so without a variable.
_OTHER_LOGINS = ("AZURE_", "IDENTITY_", "MSI_")
_CONFIG_DIR = "AZURE_CONFIG_DIR"


class Store(Protocol):
    """Keeps a text; raises `OSError`, or what the system's keeper of secrets raises."""

    def load(self) -> str: ...

    def save(self, content: str) -> object: ...


class PrivateFile:
    """A file that only its owner may read; see `Store`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> str:
        if not is_private(self._path):  # whoever has written it would choose as whom the user is known
            raise PermissionError
        return self._path.read_text(encoding="utf-8")

    def save(self, content: str) -> None:
        make_private_folder(self._path.parent)
        write_private(self._path, content)


class KeptLogin:
    """A login that begins with the token that the user's last kernel got from it.

    Args:
        login: gets the tokens.
        scope: of them.
        config_folder: the CLI's.
        path: where the token is kept, if it is.
        is_chain: whether others than the CLI may give the tokens, which are not kept; else it is the CLI that does.
        clock: seconds since 1970.
    """

    def __init__(
        self, login: Login, scope: str, config_folder: Path, path: Path, *, is_chain: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.patience_seconds = login.patience_seconds
        self.is_silent = login.is_silent
        self._login = login
        self._scope = scope
        self._config_folder = config_folder
        self._path = path
        self._is_chain = is_chain
        self._clock = clock
        self._is_first = True

    def get_token(self) -> Token:
        """Return the kept token at first, unless it is about to end; then new ones, as one may have been refused."""
        is_first, self._is_first = self._is_first, False
        store, owner = self._open_store(), self._owner()
        if store is None or not owner:
            return self._login.get_token()
        kept = _load(store, owner) if is_first else None
        if kept is not None and kept.expires_at - self._clock() > REFRESH_AHEAD_SECONDS:
            return kept
        token = self._login.get_token()
        if self._is_chain and not _is_of_cli(token):
            return token
        fields = {"owner": owner, "token": token.value, "expires_at": token.expires_at}
        with contextlib.suppress(Exception):  # a keyring may be locked, a disk full: the token is good all the same
            store.save(json.dumps(fields))
        return token

    def _open_store(self) -> Store | None:
        """Return what keeps a token as the CLI keeps its own; `None` where nothing does."""
        if not (self._config_folder / ENCRYPTED_CACHE).is_file():  # else one in the clear is of earlier days
            return PrivateFile(self._path) if (self._config_folder / CLEAR_CACHE).is_file() else None
        try:
            import msal_extensions

            make_private_folder(self._path.parent)
            store: Store = msal_extensions.build_encrypted_persistence(str(self._path))
        except Exception:  # each system's keeper of secrets has errors of its own
            return None
        return store

    def _owner(self) -> str:
        """Return a digest of who is logged in, which every `az login`, `az logout` and `az account set` changes, and of
        what for: a chain may have another's token than the CLI alone."""
        try:
            profile = (self._config_folder / PROFILE).read_bytes()
        except OSError:
            return ""
        return hashlib.sha256(profile + f"\n{self._scope}\n{self._is_chain}".encode()).hexdigest()


def keep_token(login: Login, credential: Credential, scope: str, environ: Mapping[str, str], path: Path) -> Login:
    """Return a login that keeps its token at `path`, if it is the CLI that gives it; `login` otherwise.

    The default chain may come to the CLI where no variable names another login.
    """
    is_cli = credential.kind is CredentialKind.CLI or (
        credential.kind is CredentialKind.DEFAULT
        and not any(name.startswith(_OTHER_LOGINS) and name != _CONFIG_DIR for name in environ)
    )
    if not is_cli:
        return login
    try:
        config_folder = Path(environ.get(_CONFIG_DIR) or Path.home() / ".azure")
    except RuntimeError:  # an account without a home folder
        return login
    return KeptLogin(login, scope, config_folder, path, is_chain=credential.kind is CredentialKind.DEFAULT)


def _is_of_cli(token: Token) -> bool:
    """Return whether somebody has signed in to the CLI for a token, by what it says; `azp` is version 2's `appid`."""
    claims = read_claims(token.value)
    return claims.get("appid", claims.get("azp")) == CLI_APP


def _load(store: Store, owner: str) -> Token | None:
    try:
        fields = parse_json_object(store.load().encode(), ANSWER)
    except Exception:  # none so far, or not to be had; see `KeptLogin._open_store`
        return None
    value, expires_at = fields.get("token"), fields.get("expires_at")
    is_usable = isinstance(value, str) and value.isascii() and value.isprintable() and isinstance(expires_at, float)
    if fields.get("owner") != owner or not is_usable:
        return None
    assert isinstance(value, str)
    assert isinstance(expires_at, float)
    return Token(value, expires_at)
