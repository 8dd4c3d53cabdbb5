"""Front door of a session pool: paths of its own, and what its refusals mean beyond their status.

Azure's answers were seen on real pools by others, in 2026; `docs/azure.md` says what rests on which of them.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.frames import AGENT_FAILED

# Of pools of custom containers, each a POST. They reach no pod, and make none.
GET_SESSION_PATH = "/.management/getSession"
LIST_MANAGED_PATH = "/.management/listSessions"

# Codes of status 400, for an identifier that has no session …
SESSION_NOT_FOUND = "SessionWithIdentifierNotFound"
_NO_SESSION_CODES = frozenset({SESSION_NOT_FOUND, "SessionNotFound"})
# … and for one that none can have.
BAD_IDENTIFIER = "SessionRequestValidationFailed"

# Statuses of a full pool beside 429, where the body says so: 500 on real pools, 404 on one page of the documentation.
_FULL_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR})
_FULL = re.compile(r"(?=.*session)(?=.*(max|limit|capacity|available|in use|exceed|free))", re.IGNORECASE | re.DOTALL)

# Nobody has said how a pool answers while it is made, neither with which status nor with which code: none that is known
# is for that. So these are the words of its resource's state, for any status. Should they be in an answer that means
# something else, a first cell waits for two minutes, with the answer in its line, and then says it.
_IN_THE_MAKING = re.compile(
    r"pool.*(provisioning|in ?progress|not ?(yet ?)?(ready|provisioned))", re.IGNORECASE | re.DOTALL
)

_WHERE_IT_STANDS = (
    "in its metric PoolReadyPodCount, which is 0 then, and why in the log tables AppEnvSessionConsoleLogs "
    "(AppEnvSessionConsoleLogs_CL in some workspaces), AppEnvSessionLifecycleLogs and AppEnvSessionPoolEventLogs: "
    'az monitor log-analytics query --workspace <workspace id> --analytics-query "union AppEnvSession* | top 50 by '
    'TimeGenerated"'
)
# Of a pool that answers as a full one does, where nobody has ever had a session of it …
NEVER_READY = (
    "All sessions may be in use; or none ever becomes ready, as where the image ends at its start. The pool's owner "
    f"sees which {_WHERE_IT_STANDS}"
)
# … and where it lists none.
NONE_READY = (
    "The pool lets nobody in, and says that it has no session: it seems that none becomes ready, as where the image "
    f"ends at its start. The pool's owner sees it {_WHERE_IT_STANDS}"
)


class Meaning(StrEnum):
    """Meaning of a refusal.

    Attributes:
        FULL: every session is taken, or none can be had.
        IN_THE_MAKING: the pool takes no requests so far.
        NO_SESSION: the identifier has no session.
        OTHER: what status and message say.
    """

    FULL = "full"
    IN_THE_MAKING = "in the making"
    NO_SESSION = "no session"
    OTHER = "other"


def meaning_of(status: int, code: str, message: str = "") -> Meaning:
    """Return what the refusal of a request means, by its status and the error in its body."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Meaning.FULL
    if code == AGENT_FAILED:  # there is a session; the words are those of whatever has failed in it
        return Meaning.OTHER
    if code in _NO_SESSION_CODES and status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
        return Meaning.NO_SESSION
    text = f"{code} {message}"
    if status in _FULL_STATUSES and _FULL.search(text):
        return Meaning.FULL
    return Meaning.IN_THE_MAKING if _IN_THE_MAKING.search(text) else Meaning.OTHER


def counts_as_gone(status: int, code: str) -> bool:
    """Return whether who wants a session to be gone may take a refusal for that; a bare 404 says so as well."""
    return status == HTTPStatus.NOT_FOUND or meaning_of(status, code) is Meaning.NO_SESSION


def sessions_in(page: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the sessions in a page of a pool's list, by their identifiers: `value` of pools of custom containers,
    `sessions` of built-in ones. Raises `WireError` where it is no such page."""
    listed = page.get("value", page.get("sessions"))
    if not isinstance(listed, list):
        raise WireError("a pool's list of its sessions has none")
    return {str(each["identifier"]): each for each in listed if isinstance(each, dict) and "identifier" in each}


def expiry_in(session: Mapping[str, Any]) -> object:
    """Return when the pool takes a session back, as it says: `expiresAt` of custom containers, `expireAt` of built-in
    ones."""
    return session.get("expiresAt", session.get("expireAt"))
