"""No secret that is known, and nothing that looks like one, is in a report."""

import pytest

from tests.live.redaction import names_of_pool, redact

CUSTOM = "https://ada-pool.wonderfulsea-1a2b3c4d.westeurope.azurecontainerapps.io"
BUILT_IN = (
    "https://westeurope.dynamicsessions.io/subscriptions/01234567-89ab-cdef-0123-456789abcdef"
    "/resourceGroups/adas-group/sessionPools/adas-pool"
)
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJhZGEifQ.c2lnbmF0dXJl"

KNOWN = {
    **names_of_pool(CUSTOM), **names_of_pool(BUILT_IN), TOKEN: "<token>", "ada": "<user>", "ada-laptop": "<machine>",
    "Ada Lovelace": "<login>", "an opaque token": "<token>",
}  # fmt: skip

SECRETS = (
    TOKEN,
    "an opaque token",
    "ada-pool",
    "wonderfulsea-1a2b3c4d",
    "01234567-89ab-cdef-0123-456789abcdef",
    "adas-group",
    "adas-pool",
    "ada-laptop",
    "Ada Lovelace",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["{}", "x {} y", "'{}'", "/{}/", "identifier={}&x=1", "({}.", "name:{}", "%22{}%22"])
def test_known_value_is_not_left_wherever_it_stands(secret: str, form: str) -> None:
    for text in (form.format(secret), form.format(secret.upper())):
        assert secret.lower() not in redact(text, KNOWN).lower()


def test_known_value_is_not_left_as_it_stands_in_an_address() -> None:
    assert redact("user=Ada%20Lovelace", KNOWN) == "user=<login>"
    assert "adas-group" not in redact("path=%2FresourceGroups%2Fadas-group%2FsessionPools%2Fadas-pool", KNOWN)


def test_short_name_goes_as_a_word_alone() -> None:
    assert redact("ada has adapted", KNOWN) == "<user> has adapted"


UNKNOWN = (
    "nb-0123456789abcdef0123456789abcdef01234567",
    "live-0123456789abcdef0123456789abcdef",
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQi.abc",
    "Bearer some-opaque-value",
    "99999999-2222-4333-8444-555555555555",
    "grace@example.org",
    "10.11.12.13",
    "10.11.12.13:8080",
    "fe80::1ff:fe23:4567:890a",
    "2001:db8:0:0:0:0:2:1",
    "/home/grace/notebooks/secret.ipynb",
    "/Users/grace/x",
    r"C:\Users\grace\x",
    "other-pool.greenrock-99.westus2.azurecontainerapps.io",
    "https://login.microsoftonline.com/contoso",
    "contosoregistry.azurecr.io",
    "AccountKey=Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZg==",
    "0123456789abcdef0123456789abcdef",
)


@pytest.mark.parametrize("secret", UNKNOWN)
def test_value_that_nobody_knew_of_but_looks_like_a_secret_is_not_left(secret: str) -> None:
    left = redact(f"Session {secret} said no.", {})
    for part in (secret, secret.partition("@")[0], "grace", "contoso", "greenrock", "Zm9v", "some-opaque"):
        assert part not in left or part not in secret, left
    assert left.startswith("Session ")


PLAIN = (
    "400 SessionWithIdentifierNotFound",
    "test_an_interpreter_that_dies_is_told_before_anything_runs_in_another[live]",
    "test_64_kilobytes_of_compressed_keepalives_are_refused_after_few_of_them",
    "createdAt, etag, expiresAt, identifier, lastAccessedAt",
    "429 TooManySessions after 4 sessions more, with Retry-After, after 0.3 s",
    "2 cores, Intel(R) Xeon(R) Processor, Linux 6.18.44-fc-v669",
    "1.27.0",
    "2026-11-30",
    "0.52 s",
    "quickstart.ipynb",
    "4096 and 5001 characters",
    "/mnt/data",
    "12:30:05",
)


@pytest.mark.parametrize("text", PLAIN)
def test_what_a_report_is_for_is_left(text: str) -> None:
    assert redact(text, KNOWN) == text


def test_names_of_a_pool_are_those_that_tell_whose_it_is() -> None:
    assert {"ada-pool", "wonderfulsea-1a2b3c4d", "<endpoint>"} <= {
        *names_of_pool(CUSTOM),
        *names_of_pool(CUSTOM).values(),
    }
    assert "subscriptions" not in names_of_pool(BUILT_IN)
    assert "azurecontainerapps" not in names_of_pool(CUSTOM)
