"""What the refusals of a pool mean, as real ones have been seen."""

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.pools.front_door import Meaning, counts_as_gone, expiry_in, meaning_of, sessions_in


@pytest.mark.parametrize(
    ("status", "code", "message", "meaning"),
    [
        (400, "SessionWithIdentifierNotFound", "", Meaning.NO_SESSION),
        (400, "SessionNotFound", "", Meaning.NO_SESSION),
        (404, "SessionNotFound", "No session has this identifier.", Meaning.NO_SESSION),
        (400, "SessionRequestValidationFailed", "", Meaning.OTHER),
        (400, "InvalidLengthOfSessionIdentifier", "", Meaning.OTHER),
        (404, "", "", Meaning.OTHER),
        (404, "NotFound", "There is no POST at this path.", Meaning.OTHER),
        (409, "SessionWithIdentifierNotFound", "", Meaning.OTHER),
        (429, "", "", Meaning.FULL),
        (429, "TooManySessions", "x", Meaning.FULL),
        (404, "SessionsLimitReached", "No session is available.", Meaning.FULL),
        (500, "InternalServerError", "The maximum number of concurrent sessions was reached.", Meaning.FULL),
        (500, "", "No sessions available in the pool.", Meaning.FULL),
        (500, "", "", Meaning.OTHER),
        (500, "AgentFailed", "The session's agent has failed inside (ValueError).", Meaning.OTHER),
        (500, "AgentFailed", "The session's agent has failed inside (LimitOverrunError).", Meaning.OTHER),
        (503, "SessionUnavailable", "The session's pod did not start.", Meaning.OTHER),
        (409, "SessionPoolNotReady", "", Meaning.IN_THE_MAKING),
        (400, "InvalidState", "The session pool is in provisioning state InProgress.", Meaning.IN_THE_MAKING),
    ],
)
def test_a_refusal_means_what_code_and_message_say(status: int, code: str, message: str, meaning: Meaning) -> None:
    assert meaning_of(status, code, message) is meaning


@pytest.mark.parametrize(
    ("status", "code", "is_gone"),
    [
        (400, "SessionWithIdentifierNotFound", True),
        (400, "SessionNotFound", True),
        (404, "", True),
        (404, "NotFound", True),
        (400, "SessionRequestValidationFailed", False),
        (403, "", False),
        (500, "", False),
    ],
)
def test_who_wants_a_session_to_be_gone_takes_a_bare_404_for_that(status: int, code: str, is_gone: bool) -> None:
    assert counts_as_gone(status, code) is is_gone


def test_sessions_are_found_in_the_lists_of_both_kinds_of_pool() -> None:
    session = {"identifier": "a", "etag": "e"}
    assert sessions_in({"value": [session, "x", {}], "count": 1, "nextLink": None}) == {"a": session}
    assert sessions_in({"sessions": [session]}) == {"a": session}
    assert sessions_in({"value": []}) == {}
    no_pages: list[dict[str, object]] = [{}, {"value": None}, {"sessions": {}}]
    for page in no_pages:
        with pytest.raises(WireError):
            sessions_in(page)


def test_a_session_s_end_has_two_names() -> None:
    assert expiry_in({"expiresAt": "a"}) == expiry_in({"expireAt": "a"}) == "a"
    assert expiry_in({}) is None
