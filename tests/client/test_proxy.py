"""The proxy is found as httpx finds it, shown without its password, and refused with a sentence where it is none."""

import os

import pytest

from remote_kernel.client.access import choose_access
from remote_kernel.client.http.proxy import find_proxy
from remote_kernel.client.http.transport import NoConnection, TlsTransport
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.settings import Settings
from tests.cli.command import run_command

POOL = "https://pool.example"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("HTTPS_PROXY", "http://ada:sesame@proxy.example:3128", "proxy.example:3128"),
        ("https_proxy", "ada:sesame@proxy.example:3128", "proxy.example:3128"),
        ("ALL_PROXY", "https://s@sesame@proxy.example", "proxy.example"),
    ],
)
def test_proxy_is_shown_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(name, value)
    proxy = find_proxy(POOL, os.environ)
    assert proxy is not None
    assert (proxy.address, proxy.variable) == (shown, name)
    assert "sesame" not in repr(proxy)
    assert find_proxy("http://127.0.0.1:80", os.environ) is None
    monkeypatch.setenv("NO_PROXY", "pool.example")
    assert find_proxy(POOL, os.environ) is None


def test_proxy_for_plain_http_is_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "x://")
    assert find_proxy(POOL, os.environ) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["http://ada:sesame@[bad", "http://ada:sesame@proxy:port", "ftp://ada:sesame@proxy", "http://", "x://"]
)
def test_what_is_no_proxy_is_told_in_a_sentence_that_does_not_repeat_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} is not the address of a proxy") as raised:
        choose_access(Settings(endpoint=POOL, token="t"), os.environ)
    assert "sesame" not in str(raised.value)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", "t")
    done = run_command("doctor", "--endpoint", POOL)
    assert f"{name} is not the address of a proxy" in done.stdout
    assert "sesame" not in done.stdout + done.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["http://ada:sesame@127.0.0.1:1", "ada:sesame@127.0.0.1:1"])
async def test_proxy_that_does_not_answer_is_told_without_its_password(value: str) -> None:
    transport = TlsTransport(POOL, find_proxy(POOL, {"HTTPS_PROXY": value}))
    with pytest.raises(NoConnection) as raised:
        await transport.send("GET", "/", "t", b"", 1.0)
    await transport.aclose()
    assert "sesame" not in str(raised.value)
