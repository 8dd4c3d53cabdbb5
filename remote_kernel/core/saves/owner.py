"""Owners of saves: a user, a notebook and a kernelspec. Each has a folder, and a key by which its saves are known.

Both are derived from the user's identity key, so that nobody without it can write a save that is taken for one of the
user's, nor can one notebook's be taken for another's.
"""

import hashlib
import hmac
import json
import unicodedata
from dataclasses import dataclass, field

from remote_kernel.core.errors import WireError

_ID_CHARS, _CHECK_CHARS = 24, 8

# The file of a save is JSON whose bytes are all accounted for: these, the code, and what the code is of.
_BEGIN, _BETWEEN, _END = b'{"mac":"', b'","save":', b"}\n"
_MAC_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Owner of saves.

    Attributes:
        folder: name of its folder.
        key: of its message authentication codes.
    """

    folder: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, identity_key: bytes, *, user: str, notebook: str, pod_kernel: str) -> "Owner":
        """Return the owner.

        Args:
            notebook: its path, or a literal identifier; "" where nobody knows it, as for a console: the user's other
                kernels of that kind share its saves.
            pod_kernel: kernelspec of the interpreter.
        """
        text = _digest(identity_key, "saves", user, notebook, pod_kernel)[:_ID_CHARS]
        return cls._with_id(identity_key, text)

    @classmethod
    def from_folder(cls, identity_key: bytes, name: str) -> "Owner | None":
        """Return whose folder has this name; `None` where it belongs to somebody with another key."""
        owner = cls._with_id(identity_key, name[:_ID_CHARS])
        return owner if owner.folder == name else None

    @classmethod
    def _with_id(cls, identity_key: bytes, text: str) -> "Owner":
        folder = text + _digest(identity_key, "saves' folder", text)[:_CHECK_CHARS]
        return cls(folder=folder, key=bytes.fromhex(_digest(identity_key, "saves' key", folder)))

    def seal(self, data: bytes) -> bytes:
        """Return the file of a save, given as JSON, with its message authentication code (HMAC-SHA256)."""
        return b"".join((_BEGIN, self._code_of(data), _BETWEEN, data, _END))

    def unseal(self, file: bytes) -> bytes:
        """Return the JSON in a file that `seal` has made; raises `WireError` where any byte of it is another one."""
        start = len(_BEGIN) + _MAC_CHARS + len(_BETWEEN)
        code, data = file[len(_BEGIN) : len(_BEGIN) + _MAC_CHARS], file[start : -len(_END)]
        is_shaped = file == b"".join((_BEGIN, code, _BETWEEN, data, _END))
        if not (is_shaped and hmac.compare_digest(code, self._code_of(data))):
            raise WireError("a save was changed, or is of another user or notebook")
        return data

    def _code_of(self, data: bytes) -> bytes:
        return hmac.new(self.key, data, hashlib.sha256).hexdigest().encode()


def _digest(key: bytes, *parts: str) -> str:
    text = json.dumps([unicodedata.normalize("NFC", part) for part in parts])
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
