"""Forwarded variables."""

import pytest

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.forwarding import check_patterns, parse_patterns, select

ENVIRON = {
    "NAME": "1",
    "OTHER_ONE": "2",
    "OTHER_TOKEN": "s3cret",
    "PATH": "/here",
    "REMOTE_KERNEL_IDENTIFIER": "s3cret",
    "JPY_SESSION_NAME": "/here/a.ipynb",
    "BASH_FUNC_f%%": "() { :; }",
    "lower": "3",
}


@pytest.mark.parametrize("text", ["NAME OTHER_*", "NAME,OTHER_*", " NAME ,\n\tOTHER_* ,", "OTHER_*,,NAME"])
def test_spaces_and_commas_are_between_names(text: str) -> None:
    assert set(parse_patterns(text, "S")) == {"NAME", "OTHER_*"}


def test_nothing_is_forwarded_where_nothing_is_named() -> None:
    assert select(parse_patterns("", "S"), ENVIRON) == {}


@pytest.mark.parametrize(
    "text", ["NAME=s3cret", "$NAME s3cret", "s3-cret!", "A = s3cret", "caf\u00e9s3cret", "A;s3cret"]
)
def test_what_is_no_name_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="REMOTE_KERNEL_FORWARD_ENV") as raised:
        parse_patterns(text, "REMOTE_KERNEL_FORWARD_ENV")
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["NAME"], ["NAME"]),
        (["MISSING"], []),
        (["OTHER_*"], ["OTHER_ONE"]),
        (["OTHER_???"], ["OTHER_ONE"]),
        (["OTHER_TOKEN"], ["OTHER_TOKEN"]),
        (["OTHER_TOK*N"], []),
        (["*"], ["NAME", "OTHER_ONE", "lower"]),
        (["*", "PATH", "OTHER_TOKEN"], ["NAME", "OTHER_ONE", "OTHER_TOKEN", "PATH", "lower"]),
        (["REMOTE_*", "JPY*"], []),
        (["other_*"], []),
    ],
    ids=str,
)
def test_names_are_taken_at_their_word_and_patterns_match_no_secret(patterns: list[str], names: list[str]) -> None:
    selected = select(check_patterns(patterns, "S"), ENVIRON)
    assert selected == {name: ENVIRON[name] for name in names}
