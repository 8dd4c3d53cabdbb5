"""The setting that chooses a login."""

import pytest

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.pools.credential import Credential, CredentialKind, parse_credential, parse_token_scope


def test_nothing_is_azure_s_default_chain() -> None:
    assert parse_credential("") == Credential(kind=CredentialKind.DEFAULT)


@pytest.mark.parametrize("kind", CredentialKind)
def test_every_kind_has_its_name(kind: CredentialKind) -> None:
    assert parse_credential(f" {kind} ") == Credential(kind=kind)


def test_a_managed_identity_may_be_named() -> None:
    assert parse_credential("managed-identity:an-id").client_id == "an-id"


@pytest.mark.parametrize(
    ("text", "reason"), [("msi", "use one of default, cli"), ("cli:an-id", "only managed-identity")]
)
def test_what_is_no_login_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        parse_credential(text)


def test_a_scope_names_a_resource() -> None:
    assert parse_token_scope("") == "https://dynamicsessions.io/.default"
    assert parse_token_scope("api://x/.default") == "api://x/.default"
    for text in ("/.default", "https://dynamicsessions.io"):
        with pytest.raises(SettingsError, match="REMOTE_KERNEL_TOKEN_SCOPE"):
            parse_token_scope(text)
