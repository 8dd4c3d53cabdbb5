"""Proofs of a local pool: good for nothing but what they were made for."""

import pytest

from remote_kernel.core.pools.pool_proof import CHALLENGE_BYTES, is_challenge, is_proof, make_proof


def test_proof_is_good_for_one_token_one_challenge_and_one_address() -> None:
    here, there = ("127.0.0.1", 1), ("127.0.0.1", 2)
    made = make_proof("a", "00", here)
    assert is_proof(made, "a", "00", here)
    assert not is_proof(made, "b", "00", here)
    assert not is_proof(made, "a", "01", here)
    assert not is_proof(made, "a", "00", there)
    assert not is_proof("", "a", "00", here)
    assert not is_proof("ü", "a", "00", here)


@pytest.mark.parametrize("text", ["", "ab", "AB" * CHALLENGE_BYTES, "ab" * CHALLENGE_BYTES + "\n", "é" * 64])
def test_what_has_another_length_or_alphabet_is_no_challenge(text: str) -> None:
    assert is_challenge("ab" * CHALLENGE_BYTES)
    assert not is_challenge(text)
