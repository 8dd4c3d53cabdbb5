"""Where tokens go, and what a refusal of one says."""

import base64
import json
import time

import pytest

from remote_kernel.client.access import AzureAccess, ConfiguredAccess, choose_access
from remote_kernel.client.http.rejections import describe_forbidden, describe_unauthorized
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.settings import Settings

TENANT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def settings(**environ: str) -> Settings:
    return Settings.from_environ({f"REMOTE_KERNEL_{name}": value for name, value in environ.items()})


def jwt_of(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://localhost:1", "http://pool.example"])
def test_an_azure_token_does_not_go_over_http_by_default(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="http:// address"):
        choose_access(settings(ENDPOINT=endpoint), {})


def test_a_credential_that_is_named_goes_to_a_test_pool_on_this_machine() -> None:
    access = choose_access(settings(ENDPOINT="http://127.0.0.1:1", CREDENTIAL="managed-identity"), {})
    assert isinstance(access, AzureAccess)


def test_a_credential_that_is_named_goes_no_further_than_this_machine_in_the_clear() -> None:
    with pytest.raises(SettingsError, match="use https://"):
        choose_access(settings(ENDPOINT="http://pool.example", CREDENTIAL="cli"), {})


def test_a_ready_made_token_wins() -> None:
    access = choose_access(settings(ENDPOINT="https://pool.example", TOKEN="t", CREDENTIAL="cli"), {})
    assert isinstance(access, ConfiguredAccess)


@pytest.mark.parametrize(
    ("claims", "challenge", "text"),
    [
        ({"exp": time.time() - 1}, "", "has expired"),
        (
            {"aud": "https://management.azure.com/", "exp": time.time() + 999},
            "",
            "az account get-access-token --resource https://dynamicsessions.io",
        ),
        (
            {"aud": "https://dynamicsessions.io", "tid": TENANT},
            f'Bearer authorization_uri="https://login.microsoftonline.com/{OTHER}", error="invalid_token"',
            f"az login --tenant {OTHER}",
        ),
        (
            {"aud": "https://dynamicsessions.io", "tid": TENANT},
            f'Bearer authorization_uri="https://login.microsoftonline.com/{TENANT}"',
            "with --tenant if the pool is another tenant's",
        ),
        ({"aud": ["a"], "tid": 3, "exp": "x"}, "", "run 'az login'"),
    ],
)
def test_a_token_that_is_refused_is_compared_with_what_the_pool_wants(
    claims: dict[str, object], challenge: str, text: str
) -> None:
    assert text in describe_unauthorized(jwt_of(**claims), challenge)


@pytest.mark.parametrize("token", ["", "a-pool-s-own", "a.b.c", "e30.W10.x", "a.bm8.c"])
def test_a_token_that_is_no_jwt_is_refused_with_a_sentence_too(token: str) -> None:
    assert describe_unauthorized(token, "") == (
        "The session pool does not accept the token: run 'az login', or renew REMOTE_KERNEL_TOKEN."
    )


def test_a_missing_role_comes_with_the_command_that_gives_it() -> None:
    url = "https://westus2.dynamicsessions.io/subscriptions/s/resourceGroups/g/sessionPools/p"
    assert describe_forbidden(jwt_of(oid=OTHER), url).endswith(
        'az role assignment create --role "Azure ContainerApps Session Executor" '
        f"--assignee {OTHER} --scope /subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools/p"
    )
    assert "--scope <resource id of the pool>" in describe_forbidden(
        jwt_of(oid=OTHER), "https://p.azurecontainerapps.io"
    )
