"""Addresses are shown without what opens them."""

import pytest

from remote_kernel.core.text.shown_address import host_of, without_secrets


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        ("https://pool.example/a/b", "https://pool.example/a/b", "pool.example"),
        ("https://ada:sesame@pool.example:8443/a", "https://pool.example:8443/a", "pool.example:8443"),
        ("https://s@sesame@pool.example", "https://pool.example", "pool.example"),
        ("https://pool.example/a?code=sesame#sesame", "https://pool.example/a", "pool.example"),
        ("https://ada:sesame@[x", "…", ""),
        ("ada:sesame@pool.example", "…", ""),
        ("", "", ""),
        ("pool.example", "pool.example", ""),
    ],
)
def test_address_is_shown_without_secrets(url: str, shown: str, host: str) -> None:
    assert (without_secrets(url), host_of(url)) == (shown, host)
