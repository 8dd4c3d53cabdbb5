"""Every error that this package raises on purpose.

    RemoteKernelError
    ├── UsageError                what the user gave us; mended by the user, never retried
    │   ├── SettingsError         an environment variable or option
    │   ├── IdentityError         the identity key or a literal identifier
    │   ├── TransferError         a file that cannot be sent or fetched
    │   └── SaveError             a save that is not there, is not to be trusted, or cannot be made
    │       └── SessionBusy       the session does something else at the moment
    ├── PoolError                 the session pool said no, or nothing at all
    │   ├── PoolUnreachable       no connection, or it broke; the request may be tried again
    │   │   └── NoAnswer          a built-in interpreter ran something, and it was not our code
    │   ├── NoAgent               a built-in interpreter's pod can have no agent
    │   ├── PoolUntrusted         its certificate cannot be verified
    │   ├── PoolFull              429, or Azure's 404 and 500 for the same: every session is taken
    │   ├── PoolNotReady          it is being made, or updated
    │   ├── Unauthorized          401
    │   ├── Forbidden             403
    │   └── PoolRefused           any other status that is an error
    ├── SessionLost               the pod or its interpreter is not the one that held the state
    ├── WireError                 bytes that are not of wire version 2; the other side is at fault
    │   └── Oversized             compressed, they hold more than may be sent at once
    └── NotWritten                a result could not be written to disk

The text of an error is one or two sentences for the user: what happened and what to do. No text holds an
identifier, a token or code, and none a control character: pods and pools have a word in many of them, and they are
shown on terminals.
"""

from remote_kernel.core.text.terminal_text import escape

# Ours have a few hundred characters; what a pod or a pool says may have any number.
MAX_TEXT_CHARS = 4_000


class RemoteKernelError(Exception):
    """The root of all errors raised on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(escape(message[:MAX_TEXT_CHARS]))

    @property
    def name(self) -> str:
        """The name shown to users, as `ename` of an `error` message."""
        return type(self).__name__


# Of an account without a home folder, as in many containers.
HOMELESS = (
    "this account has no home folder: set HOME to a folder that it may write to, or JUPYTER_DATA_DIR, "
    "JUPYTER_RUNTIME_DIR and JUPYTER_CONFIG_DIR"
)


def is_homeless(error: RuntimeError) -> bool:
    """Return whether an error of `pathlib.Path.home` is that there is none."""
    return "home directory" in str(error)


class UsageError(RemoteKernelError):
    """Something the user gave us cannot be used."""


class SettingsError(UsageError):
    """A setting cannot be used."""


class IdentityError(UsageError):
    """The identity key, or an identifier, cannot be used."""


class TransferError(UsageError):
    """A file or folder cannot be sent to the session or fetched from it."""


class SaveError(UsageError):
    """A save is not there, cannot be read, or is not to be trusted."""


class NothingToSave(SaveError):
    """The session has no variables, so that nothing was saved."""


class SessionBusy(SaveError):
    """The session does something else, so that nothing was saved or restored."""


class PoolError(RemoteKernelError):
    """The session pool did not do what was asked."""


class PoolUnreachable(PoolError):
    """There is no connection to the pool, or it broke before the answer was complete."""


class NoAnswer(PoolUnreachable):
    """A built-in interpreter has run something, and it was not our code, or not in Python."""


class NoAgent(PoolError):
    """A built-in interpreter's pod can have no agent; the text says why."""


class PoolUntrusted(PoolError):
    """The pool's certificate cannot be verified; nothing was sent."""


class PoolFull(PoolError):
    """The pool has no free session.

    Attributes:
        retry_after_seconds: what the pool asked for in `Retry-After`, if it did.
        usage: how many sessions are in use, such as "5 of 5"; "" where the pool does not tell.
        is_guess: the pool has answered with status 500 several times, and has not said why.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, usage: str = "", is_guess: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.usage = usage
        self.is_guess = is_guess


class PoolNotReady(PoolError):
    """The pool is being made, or updated, and takes no requests so far."""


class Unauthorized(PoolError):
    """The pool does not accept the token."""


class Forbidden(PoolError):
    """The token is good but has no role on the pool."""


class PoolRefused(PoolError):
    """The pool, or the pod behind it, answered with an error.

    Attributes:
        status: the HTTP status.
        code: the `error.code` of an Azure-shaped body, or "".
    """

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class SessionLost(RemoteKernelError):
    """The variables and imports of the session are gone; the message says how and what to do."""


class WireError(RemoteKernelError):
    """The other side sent bytes that are not of wire version 2."""


class Oversized(WireError):
    """Compressed data that expands to more than its limit."""


class NotWritten(RemoteKernelError):
    """A result could not be written where the user wanted it."""
