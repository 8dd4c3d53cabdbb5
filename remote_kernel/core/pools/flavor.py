"""The kinds of session pool, and of what its code may do."""

from enum import StrEnum


class Flavor(StrEnum):
    """Flavor of a pool: an image with this package's agent, or Azure's built-in Python interpreter."""

    CUSTOM = "custom"
    INTERPRETER = "interpreter"


class Sandbox(StrEnum):
    """Sandbox of a pod's code: none, or one that keeps it from writing files and starting programs."""

    NONE = "none"
    STRICT = "strict"


def has_interpreter_address(endpoint: str) -> bool:
    """Return whether an endpoint looks like that of a pool of built-in interpreters.

    The pool's long path is in it, which the address of a pool of custom containers never has ("Use session pools" in
    Azure's documentation).
    """
    return "/sessionpools/" in endpoint.lower()
