"""The Azure CLI's token is kept for the next kernel as the CLI keeps its own, and for nobody else."""

from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from remote_kernel.client.auth.kept_token import (
    CLEAR_CACHE,
    CLI_APP,
    ENCRYPTED_CACHE,
    PROFILE,
    KeptLogin,
    keep_token,
)
from remote_kernel.client.auth.tokens import REFRESH_AHEAD_SECONDS, Login, Token
from remote_kernel.core.pools.credential import DEFAULT_TOKEN_SCOPE, parse_credential

NOW = 1_000_000.0
HOUR = 3600.0


class CountingLogin:
    """Gives a new token each time."""

    patience_seconds = 1.0
    is_silent = True

    def __init__(self, claims: Mapping[str, str] | None = None) -> None:
        self.count = 0
        self._claims = claims

    def get_token(self) -> Token:
        self.count += 1
        if self._claims is None:
            return Token(f"token-{self.count}", NOW + HOUR)
        return Token(jwt.encode({**self._claims, "uti": f"{self.count}"}, "a secret " * 4), NOW + HOUR)


@pytest.fixture
def az(tmp_path: Path) -> Path:
    """Return the CLI's folder, of somebody who is logged in, with tokens in the clear."""
    folder = tmp_path / "azure"
    folder.mkdir()
    (folder / PROFILE).write_text('{"subscriptions": [{"user": {"name": "ada"}}]}')
    (folder / CLEAR_CACHE).write_text("{}")
    return folder


def kernel(
    login: Login, az: Path, *, now: float = NOW, scope: str = DEFAULT_TOKEN_SCOPE, is_chain: bool = False
) -> KeptLogin:  # fmt: skip
    """Return the login of a new kernel."""
    path = az.parent / "runtime" / "azure-token"
    return KeptLogin(login, scope, az, path, is_chain=is_chain, clock=lambda: now)


def test_second_kernel_has_the_token_of_the_first(az: Path) -> None:
    login = CountingLogin()
    assert [kernel(login, az).get_token().value for _ in range(3)] == ["token-1"] * 3
    assert login.count == 1


def test_token_is_in_a_file_that_only_its_owner_may_read(az: Path) -> None:
    kernel(CountingLogin(), az).get_token()
    (file,) = (az.parent / "runtime").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_token_that_was_refused_is_not_given_again(az: Path) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    second = kernel(login, az)
    assert [second.get_token().value, second.get_token().value] == ["token-1", "token-2"]
    assert kernel(login, az).get_token().value == "token-2"


def test_token_that_is_about_to_end_is_renewed(az: Path) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    later = NOW + HOUR - REFRESH_AHEAD_SECONDS
    assert kernel(login, az, now=later - 1).get_token().value == "token-1"
    assert kernel(login, az, now=later).get_token().value == "token-2"


@pytest.mark.parametrize("text", ['{"subscriptions": [{"user": {"name": "eve"}}]}', ""])
def test_whoever_logs_in_next_gets_a_token_of_their_own(az: Path, text: str) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    (az / PROFILE).write_text(text)
    assert kernel(login, az).get_token().value == "token-2"


def test_token_for_something_else_is_not_given(az: Path) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    assert kernel(login, az, scope="https://dynamicsessions.example/.default").get_token().value == "token-2"


@pytest.mark.parametrize(
    ("claims", "is_kept"),
    [
        ({"appid": CLI_APP}, True),
        ({"azp": CLI_APP}, True),
        ({"appid": "00000000-0000-0000-0000-000000000001", "idtyp": "app"}, False),
        ({}, False),
        (None, False),
    ],
    ids=["user of the CLI", "the same, version 2", "managed identity", "nobody", "no JWT"],
)
def test_token_that_another_login_of_the_chain_has_given_is_not_kept(
    az: Path, claims: dict[str, str] | None, is_kept: bool
) -> None:
    """A virtual machine has an identity, and `az` besides: the chain takes the first."""
    login = CountingLogin(claims)
    tokens = {kernel(login, az, is_chain=True).get_token().value for _ in range(2)}
    assert len(tokens) == login.count == (1 if is_kept else 2)
    assert (az.parent / "runtime").exists() is is_kept


def test_chain_is_not_given_what_the_cli_alone_was_asked_for(az: Path) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    assert kernel(login, az, is_chain=True).get_token().value == "token-2"


@pytest.mark.parametrize("missing", [PROFILE, CLEAR_CACHE])
def test_nothing_is_kept_where_the_cli_keeps_nothing(az: Path, missing: str) -> None:
    (az / missing).unlink()
    assert kernel(CountingLogin(), az).get_token().value == "token-1"
    assert not (az.parent / "runtime").exists()


def test_nothing_is_kept_in_the_clear_where_the_cli_has_the_system_encrypt(az: Path) -> None:
    (az / CLEAR_CACHE).rename(az / ENCRYPTED_CACHE)
    assert kernel(CountingLogin(), az).get_token().value == "token-1"
    assert [path for path in az.parent.rglob("*") if path.is_file() and "token-1" in path.read_text()] == []


def test_cache_in_the_clear_that_the_cli_has_left_behind_does_not_count(az: Path) -> None:
    (az / ENCRYPTED_CACHE).write_bytes(b"of another system")
    kernel(CountingLogin(), az).get_token()
    assert [path for path in az.parent.rglob("*") if path.is_file() and b"token-1" in path.read_bytes()] == []


@pytest.mark.unix
@pytest.mark.parametrize("how", ["others may write it", "others may read it", "is a link"])
def test_file_that_others_could_have_put_there_is_none(az: Path, how: str) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    file = az.parent / "runtime" / "azure-token"
    if how == "is a link":
        file.rename(az.parent / "elsewhere")
        file.symlink_to(az.parent / "elsewhere")
    else:
        file.chmod(0o620 if how == "others may write it" else 0o604)
    assert kernel(login, az).get_token().value == "token-2"
    assert file.stat(follow_symlinks=False).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", "{", '{"owner": 1}', '{"token": "\\n", "expires_at": 1e12}', "\x00"])
def test_file_that_is_no_good_is_none(az: Path, content: str) -> None:
    login = CountingLogin()
    kernel(login, az).get_token()
    (az.parent / "runtime" / "azure-token").write_text(content)
    assert kernel(login, az).get_token().value == "token-2"
    assert kernel(login, az).get_token().value == "token-2"


def test_folder_that_cannot_be_written_costs_nothing_but_the_keeping(az: Path) -> None:
    (az.parent / "runtime").write_text("in the way")
    assert kernel(CountingLogin(), az).get_token().value == "token-1"


@pytest.mark.parametrize(
    ("credential", "environ", "is_kept"),
    [
        ("cli", {}, True),
        ("cli", {"AZURE_CLIENT_ID": "x"}, True),
        ("default", {"AZURE_CONFIG_DIR": "/somewhere"}, True),
        ("default", {"AZURE_CLIENT_ID": "x"}, False),
        ("default", {"IDENTITY_ENDPOINT": "x"}, False),
        ("managed-identity", {}, False),
        ("environment", {}, False),
        ("browser", {}, False),
    ],
)
def test_token_of_the_cli_alone_is_kept(
    credential: str, environ: dict[str, str], is_kept: bool, tmp_path: Path
) -> None:  # fmt: skip
    kept = keep_token(CountingLogin(), parse_credential(credential), DEFAULT_TOKEN_SCOPE, environ, tmp_path / "t")
    assert isinstance(kept, KeptLogin) == is_kept
