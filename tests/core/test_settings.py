"""Settings: what the variables mean, and what is said when one cannot be used."""

import pytest

from remote_kernel.core.errors import IdentityError, SettingsError
from remote_kernel.core.identity import Identifier, Scope
from remote_kernel.core.settings import Settings, Start


def test_nothing_set_means_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_every_variable_is_read() -> None:
    settings = Settings.from_environ(
        {
            "REMOTE_KERNEL_ENDPOINT": "https://pool.example/x/",
            "REMOTE_KERNEL_TOKEN": " secret\n",
            "REMOTE_KERNEL_SCOPE": "job",
            "REMOTE_KERNEL_NOTEBOOK": "a.ipynb",
            "REMOTE_KERNEL_PROJECT": "p",
            "REMOTE_KERNEL_IDENTIFIER": "literal-1",
            "REMOTE_KERNEL_POD_KERNEL": "ir",
            "REMOTE_KERNEL_FRESH": "true",
            "REMOTE_KERNEL_START": "eager",
            "REMOTE_KERNEL_HISTORY": "off",
            "REMOTE_KERNEL_FORWARD_ENV": "NAME, OTHER_*",
            "REMOTE_KERNEL_STARTUP": "start.py",
            "REMOTE_KERNEL_HASH_SEED": "0",
            "REMOTE_KERNEL_WAIT_SECONDS": "1.5",
            "REMOTE_KERNEL_KEEPALIVE_MINUTES": "0",
            "REMOTE_KERNEL_SAVES": "/net/saves",
            "REMOTE_KERNEL_SAVES_KEEP": "3",
            "REMOTE_KERNEL_SAVES_MAX_MB": "100",
            "REMOTE_KERNEL_SAVE_MAX_MB": "0.5",
            "REMOTE_KERNEL_SAVE_SECONDS": "30",
            "REMOTE_KERNEL_AUTOSAVE": "1",
            "REMOTE_KERNEL_AUTORESTORE": "on",
        }
    )
    assert settings == Settings(
        endpoint="https://pool.example/x",
        token="secret",
        scope=Scope.JOB,
        notebook="a.ipynb",
        project="p",
        identifier=Identifier("literal-1"),
        pod_kernel="ir",
        is_fresh=True,
        start=Start.EAGER,
        keeps_history=False,
        forwarded=("NAME", "OTHER_*"),
        startup="start.py",
        hash_seed="0",
        wait_seconds=1.5,
        keepalive_minutes=0,
        saves="/net/saves",
        saves_kept=3,
        saves_max_bytes=100_000_000,
        save_max_bytes=500_000,
        save_seconds=30,
        autosaves=True,
        autorestores=True,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REMOTE_KERNEL_ENDPOINT", "pool.example"),
        ("REMOTE_KERNEL_ENDPOINT", "ftp://pool.example"),
        ("REMOTE_KERNEL_ENDPOINT", "https://"),
        ("REMOTE_KERNEL_ENDPOINT", "https://pool:port"),
        ("REMOTE_KERNEL_ENDPOINT", "https://pool.example/a b"),
        ("REMOTE_KERNEL_ENDPOINT", "https://pool.example/\x1b]0;x"),
        ("REMOTE_KERNEL_SCOPE", "everyone"),
        ("REMOTE_KERNEL_FRESH", "perhaps"),
        ("REMOTE_KERNEL_HISTORY", "ask"),
        ("REMOTE_KERNEL_FORWARD_ENV", "NAME=value"),
        ("REMOTE_KERNEL_HASH_SEED", "-1"),
        ("REMOTE_KERNEL_HASH_SEED", "4294967296"),
        ("REMOTE_KERNEL_TOKEN", "a\nb"),
        ("REMOTE_KERNEL_TOKEN", "naïve"),
        ("REMOTE_KERNEL_WAIT_SECONDS", "long"),
        ("REMOTE_KERNEL_WAIT_SECONDS", "-1"),
        ("REMOTE_KERNEL_SAVES_KEEP", "all"),
        ("REMOTE_KERNEL_SAVE_SECONDS", "-1"),
        ("REMOTE_KERNEL_AUTOSAVE", "daily"),
        ("REMOTE_KERNEL_AUTORESTORE", "2"),
        ("REMOTE_KERNEL_KEEPALIVE_MINUTES", "inf"),
        ("REMOTE_KERNEL_KEEPALIVE_MINUTES", "nan"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({name: value})


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://ada:sesame@pool.example",
        "https://sesame@pool.example/path",
        "https://:sesame@pool.example:8443",
        "https://ada:s@sesame@pool.example",
        "http://ada:sesame@127.0.0.1:80",
        "https://pool.example/?code=sesame",
        "https://pool.example?sesame",
        "https://pool.example/#sesame",
        "https://ada:sesame@[x",
        "ada:sesame@pool.example",
    ],
)
def test_an_endpoint_that_holds_a_secret_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="REMOTE_KERNEL_ENDPOINT") as raised:
        Settings.from_environ({"REMOTE_KERNEL_ENDPOINT": endpoint})
    assert "sesame" not in str(raised.value)


def test_a_bad_identifier_is_an_identity_error() -> None:
    with pytest.raises(IdentityError):
        Settings.from_environ({"REMOTE_KERNEL_IDENTIFIER": "a b"})


def test_secrets_are_not_in_the_repr() -> None:
    settings = Settings.from_environ({"REMOTE_KERNEL_TOKEN": "tokentext", "REMOTE_KERNEL_IDENTIFIER": "identext"})
    assert "tokentext" not in repr(settings)
    assert "identext" not in repr(settings)
