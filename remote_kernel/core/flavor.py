"""The kinds of session pool, and of what its code may do."""

from enum import StrEnum


class Flavor(StrEnum):
    """What the pods of a pool are: an image with this package's agent, or Azure's built-in Python interpreter."""

    CUSTOM = "custom"
    INTERPRETER = "interpreter"


class Sandbox(StrEnum):
    """What the code in a pod is kept from: nothing, or writing files and starting programs."""

    NONE = "none"
    STRICT = "strict"
