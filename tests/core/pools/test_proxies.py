"""The proxy on the way to a pool is the one that the variables name, and what names none is told in a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.pools.proxies import Proxy, choose_proxy, is_bypassed, parse_proxy

URL = "https://pool.example.org/path"


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://a:1"}, None),
        ({"HTTPS_PROXY": "http://a:1"}, "a:1"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "b:2"),
        ({"ALL_PROXY": "socks5://c:3"}, "c:3"),
        ({"ALL_PROXY": "socks5h://c"}, "c"),
        ({"ALL_PROXY": "socks5://c:3", "HTTPS_PROXY": "http://a:1"}, "a:1"),
        ({"HTTPS_PROXY": "a:1"}, "a:1"),
        ({"HTTPS_PROXY": "http://user:pass%40word@a:1"}, "a:1"),
        ({"HTTPS_PROXY": "http://[::1]:8080"}, "[::1]:8080"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "other.org"}, "a:1"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "other.org", "no_proxy": "*"}, None),
    ],
)
def test_variables_name_the_proxy(environ: dict[str, str], address: str | None) -> None:
    proxy = choose_proxy(URL, environ)
    assert (proxy.address if proxy is not None else None) == address


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_without"),
    [
        ("pool.example.org", "example.org", True),
        ("pool.example.org", ".example.org", True),
        ("pool.example.org", "*.example.org", True),
        ("pool.example.org", "POOL.Example.ORG", True),
        ("pool.example.org.", "example.org", True),
        ("badexample.org", "example.org", False),
        ("pool.example.org", "a, b  pool.example.org", True),
        ("pool.example.org", "pool.example.org:443", True),
        ("pool.example.org", "pool.example.org:8443", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "1.2.3", False),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("::1", "[::1]", True),
        ("::1", "::1", True),
        ("::1", "[::1]:443", True),
        ("::1", "[::1]:80", False),
        ("fd00::7", "fd00::/8", True),
        ("fd00::7", "[fd00::]/8", True),
        ("fe80::1", "fd00::/8", False),
        ("10.1.2.3", "fd00::/8", False),
        ("pool.example.org", "", False),
        ("pool.example.org", ",,", False),
        ("pool.example.org", "[::1, 10.0.0.0/99, :", False),
    ],
)
def test_no_proxy_names_whom_to_reach_without_one(host: str, no_proxy: str, is_without: bool) -> None:
    assert is_bypassed(host, 443, no_proxy) is is_without


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://a:port", "as its host or port cannot be read"),
        ("http://a:99999", "as its host or port cannot be read"),
        ("http://[::1:8080", "as its host or port cannot be read"),
        ("socks://a:1080", "as its kind is none of"),
        ("ftp://a", "as its kind is none of"),
        ("http://", "as it has no host"),
        ("http://:8080", "as it has no host"),
        ("://", "as its kind is none of"),
    ],
)
def test_what_names_no_proxy_is_a_sentence_that_names_the_variable(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"^ALL_PROXY .*{reason}.*write http://host:port") as caught:
        choose_proxy(URL, {"ALL_PROXY": text})
    assert "\n" not in str(caught.value)


def test_password_is_in_no_error_and_no_representation() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_proxy("http://me:s3cret@host:port", "HTTPS_PROXY")
    proxy = parse_proxy("http://me:s3cret@host:1", "HTTPS_PROXY")
    assert "s3cret" not in f"{caught.value}{proxy!r}{proxy.address}"


@given(st.text(), st.text())
def test_whatever_is_set_is_a_proxy_or_a_sentence(text: str, no_proxy: str) -> None:
    try:
        proxy = choose_proxy(URL, {"HTTPS_PROXY": text, "NO_PROXY": no_proxy})
    except SettingsError:
        return
    assert proxy is None or isinstance(proxy, Proxy)
