"""Values of the interpreter API: a cell's outputs as the one value that Azure returns for them.

The API knows of a single value: the last expression's, or a picture. Source: the examples of the 2025-10-02 preview in
Azure's REST API specifications, and the clients on PyPI for pictures and for what the oldest versions return.
"""

import ast
import json
import warnings
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

# Longer texts are not taken apart: that would take seconds, and whoever wants so much writes a file.
MAX_LITERAL_CHARACTERS = 1024 * 1024

NOTHING = ""

_PICTURES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif"}


def picture_of(data: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the picture in a MIME bundle as the API shows one; `None` when there is none."""
    for media_type, name in _PICTURES.items():
        if isinstance(picture := data.get(media_type), str):
            return {"type": "image", "format": name, "base64_data": picture.replace("\n", "")}
    return None


class ValueForm(StrEnum):
    """Form of a value: which of Python's literals come back as JSON, and which as text.

    JSON: all that have a JSON form are JSON: 4, "text", [1, 2].
    SCALARS: numbers, strings and the like are JSON; lists and dictionaries are text. The oldest versions do so.
    JUPYTER: lists and dictionaries are JSON; numbers, strings and the like are text: "4", "'text'".
    """

    JSON = "json"
    SCALARS = "scalars"
    JUPYTER = "jupyter"

    def wants_json(self, value: Any) -> bool:
        """Return whether a literal with a JSON form comes back as that."""
        is_scalar = isinstance(value, bool | int | float | str | None)
        return self is ValueForm.JSON or is_scalar == (self is ValueForm.SCALARS)


def value_of(data: Mapping[str, Any], form: ValueForm = ValueForm.JSON) -> Any:
    """Return the value in the MIME bundle of an `execute_result`; what is no literal, not-a-number too, is text."""
    if "application/json" in data and _is_json(data["application/json"]):
        return data["application/json"]
    text = data.get("text/plain", NOTHING)
    if not isinstance(text, str) or len(text) > MAX_LITERAL_CHARACTERS:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a text with a backslash, which is no code of ours
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if form.wants_json(value) and _is_json(value) else text


def _is_json(value: Any) -> bool:
    """Return whether a value has a JSON form in which it is the same for everybody.

    Sets have none, nor have not-a-number and texts with half of a surrogate pair.
    """
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def nothing(form: ValueForm = ValueForm.JSON) -> str | None:
    """Return the value of code whose last expression is `None`, or that has none."""
    return None if form is ValueForm.JUPYTER else NOTHING
