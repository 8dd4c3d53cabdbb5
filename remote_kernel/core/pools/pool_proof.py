"""Proof that who listens at an address knows a local pool's token, without the token going there.

A pool that was killed leaves its runtime file behind, and any user of the machine may listen on its port later. So a
client sends a challenge first, and nothing else until the answer is right.
"""

import hashlib
import hmac
import re

# Answered before a token is asked for.
PROOF_PATH = "/.local/proof"

# In bytes; it goes as twice as many hexadecimal digits.
CHALLENGE_BYTES = 32

# What the key is derived for, so that no other use of the token, such as for labels, can make a proof.
_PURPOSE = b"remote-kernel: proof of a local pool, version 1"

_CHALLENGE = re.compile(rf"[0-9a-f]{{{2 * CHALLENGE_BYTES}}}")


def is_challenge(text: str) -> bool:
    """Return whether `text` is a challenge that may be answered: of one length and one alphabet, and so no other
    text."""
    return _CHALLENGE.fullmatch(text) is not None


def make_proof(token: str, challenge: str, address: tuple[str, int]) -> str:
    """Return the answer to `challenge` of a pool with this token.

    Args:
        address: IP address and port of the pool's end of the connection, so that the proof is good for no other one: a
            stranger cannot pass the challenge on to the pool and its answer back.
    """
    key = hmac.digest(token.encode(), _PURPOSE, hashlib.sha256)
    host, port = address
    return hmac.new(key, f"{challenge} {host} {port}".encode(), hashlib.sha256).hexdigest()


def is_proof(answer: str, token: str, challenge: str, address: tuple[str, int]) -> bool:
    """Return whether `answer` is what `make_proof` returns; the time that this takes does not tell how near it
    comes."""
    return hmac.compare_digest(answer.encode(errors="replace"), make_proof(token, challenge, address).encode())
