"""Texts of errors, which pods and pools have a word in."""

import pytest

from remote_kernel.core.errors import MAX_TEXT_CHARS, PoolFull, RemoteKernelError, is_homeless


def test_text_of_an_error_has_no_control_character_and_an_end() -> None:
    text = str(RemoteKernelError("\x1b]0;title\x07" + "x" * 2 * MAX_TEXT_CHARS))
    assert text.startswith("\\x1b]0;title\\x07xxx")
    assert len(text) < MAX_TEXT_CHARS + 10


def test_name_of_an_error_is_that_of_its_class() -> None:
    assert PoolFull("", usage="5 of 5").name == "PoolFull"


@pytest.mark.parametrize(
    ("text", "expected"), [("Could not determine home directory.", True), ("no running event loop", False)]
)
def test_account_without_a_home_folder_is_told_from_other_errors(text: str, expected: bool) -> None:
    assert is_homeless(RuntimeError(text)) == expected
