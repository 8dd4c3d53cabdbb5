"""Contents of `kernel_info_reply` as front ends need them: checked when a pod says them, and when read from a file.

Source: `kernel_info_reply` in "Messaging in Jupyter". jupyter_client takes the protocol's version apart and speaks as
it says; Jupyter Server and nbconvert want the language's name and the file's ending. A reply without these would end
the start of every kernel that remembers it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import is_deeper
from remote_kernel.core.jupyter.messages import PROTOCOL_VERSION
from remote_kernel.core.limits import KERNEL_INFO
from remote_kernel.core.numbers import Text

# Messages of another major version look different, and the relay passes on what it gets.
_PROTOCOL = re.compile(r"5\.\d{1,2}(\.\d{1,2})?")

_LANGUAGE = Text(most=100, is_name=True, may_be_empty=False)

# Texts that a reply has, and what stands for those that are missing or none.
_TEXTS = {"implementation": "unknown", "implementation_version": "", "banner": ""}
_LANGUAGE_TEXTS = {"version": "", "mimetype": "text/plain", "file_extension": ".txt"}
_OPTIONAL_LANGUAGE_TEXTS = ("pygments_lexer", "nbconvert_exporter")

# nbconvert imports what has a dot in its name.
_EXPORTER = re.compile(r"[A-Za-z0-9_-]{1,100}")

# nbconvert, and "Save as script", put it behind the name of a file that they write on this machine.
_ENDING = re.compile(r"\.[A-Za-z0-9_+-]{1,20}")


def checked_kernel_info(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a `kernel_info_reply` in which what front ends need is there and of the right type.

    What nobody here knows is kept as it is.

    Raises:
        WireError: it does not say which language it is, or is larger or deeper than one may be.
    """
    language = content.get("language_info")
    if not isinstance(language, dict):
        raise WireError("a kernel_info without a language")
    checked = {**content, "status": "ok", "language_info": _checked_language(language)}
    version = content.get("protocol_version")
    if not (isinstance(version, str) and _PROTOCOL.fullmatch(version)):
        checked["protocol_version"] = PROTOCOL_VERSION
    checked |= {name: _text_or(content.get(name), default) for name, default in _TEXTS.items()}
    checked["help_links"] = [link for link in _list(content.get("help_links")) if _is_link(link)]
    checked["supported_features"] = [
        feature for feature in _list(content.get("supported_features")) if isinstance(feature, str)
    ]
    if not isinstance(content.get("debugger", False), bool):
        del checked["debugger"]
    if is_deeper(checked, KERNEL_INFO.nesting or 0) or len(json.dumps(checked)) > (KERNEL_INFO.bytes or 0):
        raise WireError("a kernel_info that is larger than one may be")
    return checked


def _checked_language(language: Mapping[str, Any]) -> dict[str, Any]:
    name = _LANGUAGE.check(language.get("name"), "the name of a language")
    checked = {**language, "name": name}
    checked |= {field: _text_or(language.get(field), default) for field, default in _LANGUAGE_TEXTS.items()}
    for field in _OPTIONAL_LANGUAGE_TEXTS:
        if not isinstance(language.get(field, ""), str):
            del checked[field]
    if not _EXPORTER.fullmatch(checked.get("nbconvert_exporter", "script")):
        del checked["nbconvert_exporter"]
    if not _ENDING.fullmatch(checked["file_extension"]):
        checked["file_extension"] = _LANGUAGE_TEXTS["file_extension"]
    if not isinstance(language.get("codemirror_mode", ""), str | dict):
        del checked["codemirror_mode"]
    return checked


def _text_or(value: object, default: str) -> str:
    return value if isinstance(value, str) else default


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_link(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("text", "url"))
