"""The two kinds of session pool."""

from enum import StrEnum


class Flavor(StrEnum):
    """What the pods of a pool are: an image with this package's agent, or Azure's built-in Python interpreter."""

    CUSTOM = "custom"
    INTERPRETER = "interpreter"
