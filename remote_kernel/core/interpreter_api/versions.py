"""The interpreter API of Azure's session pools: its versions, paths and refusals, for both ends.

Source: `specification/app/data-plane/DynamicSessions` of Azure's REST API specifications (2024-10-02, 2025-02-02 and
2025-10-02 previews) and, for the versions before, Azure's documentation of code interpreter sessions and the clients on
PyPI. `docs/interpreter-api.md` says what was taken from where.
"""

from enum import StrEnum

from remote_kernel.core.errors import RemoteKernelError

# Azure takes any of them in any version, which decides about the shapes of bodies.
EXECUTE_PATHS = ("/code/execute", "/execute")
EXECUTIONS_PATH = "/executions"
FILES_PATH = "/files"
SESSION_PATH = "/session"
LIST_SESSIONS_PATH = "/listSessions"
METADATA_PATH = "/metadata"

# A synchronous execution holds a connection, and Azure's front door cuts it after so long.
SYNC_LIMIT_SECONDS = 220.0

MAX_UPLOAD_BYTES = 128 * 1024 * 1024


class ApiVersion(StrEnum):
    """Every published version of the API, oldest first."""

    V2023_08_01 = "2023-08-01-preview"
    V2024_02_02 = "2024-02-02-preview"
    V2024_08_02 = "2024-08-02-preview"
    V2024_10_02 = "2024-10-02-preview"
    V2025_02_02 = "2025-02-02-preview"
    V2025_10_02 = "2025-10-02-preview"

    @property
    def has_code_execute(self) -> bool:
        """Return whether code is meant to go to `/code/execute`, and bodies are wrapped in "properties"."""
        return self < ApiVersion.V2024_10_02

    @property
    def has_session(self) -> bool:
        """Return whether sessions can be looked at and deleted, and the pool described."""
        return self >= ApiVersion.V2025_02_02


class ApiRefusal(RemoteKernelError):
    """A request that the API answers with an error.

    Attributes:
        status: the HTTP status.
        code: `error.code` and the header `x-ms-error-code`.
        target: `error.target`: the part of the request that is at fault; "" for none.
    """

    def __init__(self, status: int, code: str, message: str, *, target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target

    @property
    def name(self) -> str:
        return self.code


def parse_api_version(text: str | None) -> ApiVersion:
    """Return the version that the parameter `api-version` names.

    Raises:
        ApiRefusal: there is none, or it is unknown (400, as Azure's REST API guidelines ask).
    """
    if not text:
        raise ApiRefusal(
            400,
            "MissingApiVersionParameter",
            f"The parameter 'api-version' is missing: use {ApiVersion.V2025_10_02.value}.",
            target="api-version",
        )
    try:
        return ApiVersion(text)
    except ValueError:
        known = ", ".join(ApiVersion)
        raise ApiRefusal(
            400,
            "UnsupportedApiVersionValue",
            f"This 'api-version' is not known here. The supported ones are {known}.",
            target="api-version",
        ) from None


def execution_type(is_asynchronous: bool) -> str:
    """Return how every version calls it."""
    return "Asynchronous" if is_asynchronous else "Synchronous"
