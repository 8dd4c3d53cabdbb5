"""Identifiers: stable, distinct, unguessable, and allowed by every version of Azure's rules."""

import base64
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import IdentityError, SettingsError
from remote_kernel.core.identity import (
    derive_identifier,
    derive_kernel_name,
    has_drive_prefix,
    is_identifier,
    job_id,
    parse_identifier,
    parse_key,
    user_name,
)

KEY = bytes(range(32))


def test_an_identifier_stays_the_same_from_version_to_version() -> None:
    assert derive_identifier(KEY, "notebook", "ada", "/home/ada/a.ipynb", "python3") == (
        "nb-b4def678ff03206e225def83ccc387e95dc6a39978fc1"
    )


@given(st.binary(min_size=32, max_size=32), st.lists(st.text(), min_size=1, max_size=5))
def test_every_identifier_satisfies_the_strictest_rule(key: bytes, parts: list[str]) -> None:
    identifier = derive_identifier(key, *parts)
    assert re.fullmatch(r"[A-Za-z0-9-]{4,128}", identifier)
    assert len(identifier) == 48


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_other_parts_give_another_identifier(one: list[str], other: list[str]) -> None:
    normalized = [[unicodedata.normalize("NFC", part) for part in parts] for parts in (one, other)]
    is_same = derive_identifier(KEY, *one) == derive_identifier(KEY, *other)
    assert is_same == (normalized[0] == normalized[1])


def test_another_key_gives_another_identifier() -> None:
    assert derive_identifier(KEY, "a") != derive_identifier(KEY[::-1], "a")


def test_both_spellings_of_an_accent_are_one_path() -> None:
    assert derive_identifier(KEY, "caf\u00e9") == derive_identifier(KEY, "cafe\u0301")


def test_a_kernel_name_is_no_part_of_an_identifier() -> None:
    assert derive_kernel_name(KEY, "a")[2:] not in derive_identifier(KEY, "a")


@pytest.mark.parametrize("text", ["a", "abcd", "test-session-1", "a_b", "a|b&c", "x" * 256, "(){}[];<>^%$#"])
def test_what_any_version_of_the_rules_allows_is_accepted(text: str) -> None:
    assert parse_identifier(text) == text


@pytest.mark.parametrize("text", ["", "a b", "ä", "a/b", "a\n", "x" * 257, "|", "abc.d", "a_|b"])
def test_what_no_version_allows_is_refused_without_naming_it(text: str) -> None:
    assert not is_identifier(text)
    with pytest.raises(IdentityError) as caught:
        parse_identifier(text)
    assert str(caught.value) == (
        "REMOTE_KERNEL_IDENTIFIER is not one that Azure allows: use 4 to 128 letters, digits and hyphens"
    )


def test_a_key_is_read_from_both_alphabets_of_base64() -> None:
    key = b"\xff" * 32
    assert parse_key(base64.b64encode(key).decode() + "\n") == key
    assert parse_key(base64.urlsafe_b64encode(key).decode()) == key


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_a_bad_key_is_an_error_that_says_how_to_make_one(text: str) -> None:
    with pytest.raises(IdentityError, match="openssl rand -base64 32"):
        parse_key(text)


def test_the_user_is_the_setting_then_the_hub_then_the_login() -> None:
    hub = {"JUPYTERHUB_USER": "ada", "JUPYTERHUB_SERVER_NAME": "gpu"}
    assert user_name({"REMOTE_KERNEL_USER": "me", **hub}, "login") == "me"
    assert user_name(hub, "login") == "ada/gpu"
    assert user_name({"JUPYTERHUB_USER": "ada"}, "login") == "ada/"
    assert user_name({}, "login") == "login"


def test_an_account_without_a_name_is_told_what_to_set() -> None:
    with pytest.raises(SettingsError, match="set REMOTE_KERNEL_USER"):
        user_name({}, "")


def test_the_job_is_the_setting_then_the_schedulers() -> None:
    assert job_id({"REMOTE_KERNEL_JOB_ID": "7", "GITHUB_RUN_ID": "8"}) == "7"
    assert job_id({"SLURM_JOB_ID": "9"}) == "SLURM_JOB_ID=9"
    assert job_id({"GITHUB_RUN_ID": "9"}) != job_id({"SLURM_JOB_ID": "9"})


def test_no_job_is_told_what_to_set() -> None:
    with pytest.raises(SettingsError, match="set REMOTE_KERNEL_JOB_ID"):
        job_id({"SLURM_JOB_ID": ""})


@pytest.mark.parametrize(
    ("path", "has_drive"),
    [
        ("RTC:a.ipynb", True),
        ("/home/RTC:a.ipynb", True),
        ("/home/a.ipynb", False),
        ("C:/a.ipynb", False),
        ("/a b:c", False),
    ],
)
def test_a_contents_drive_is_told_from_a_path(path: str, has_drive: bool) -> None:
    assert has_drive_prefix(path) is has_drive
