"""What a cell shows, as the one value that Azure's interpreter API returns for it.

The API knows of a single value: the last expression's, or a picture. Source: the examples of the 2025-10-02 preview in
Azure's REST API specifications, and the clients on PyPI for pictures.
"""

import ast
import json
import warnings
from collections.abc import Mapping
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


def value_of(data: Mapping[str, Any], *, is_jupyter_format: bool = False) -> Any:
    """Return the value in the MIME bundle of an `execute_result`.

    Python's own literals that have a JSON form come back as JSON: 4, "text", [1, 2]. Everything else comes back as the
    text that Jupyter shows, not-a-number among it.

    Args:
        is_jupyter_format: numbers, strings and the like come back as text, too: "4", "'text'".
    """
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
    is_text_wanted = is_jupyter_format and isinstance(value, bool | int | float | str | None)
    return text if is_text_wanted or not _is_json(value) else value


def _is_json(value: Any) -> bool:
    """Whether a value has a JSON form in which it is the same for everybody: no sets, no not-a-number."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def nothing(*, is_jupyter_format: bool = False) -> str | None:
    """Return the value of code whose last expression is `None`, or that has none."""
    return None if is_jupyter_format else NOTHING
