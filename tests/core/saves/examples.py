"""Examples of manifests, objects and saves."""

import hashlib
import zlib
from typing import Any

from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.objects import RAW, ZLIB, Object
from remote_kernel.core.saves.owner import Owner

KEY = bytes(range(32))
OWNER = Owner.of(KEY, user="ada", notebook="/home/ada/report.ipynb", pod_kernel="python3")

PACKED, BUFFER = b"pack " * 50, bytes(range(256))


def object_of(content: bytes) -> Object:
    return Object(hashlib.sha256(content).hexdigest(), len(content))


def file_of(content: bytes) -> bytes:
    """Return the file of an object, compressed where that makes it smaller."""
    packed = zlib.compress(content, 1)
    return ZLIB + packed if len(packed) < len(content) else RAW + content


def manifest_of(*contents: bytes, **others: Any) -> Manifest:
    """Return the manifest of a save with these contents, the first of which is a pack."""
    objects = tuple(map(object_of, contents))
    return Manifest(
        **{
            "python": "3.11.2", "implementation": "cpython", "libraries": {"numpy": "2.4.6"}, "execution_count": 30,
            "packs": (objects[:1],), "objects": objects, "saved": 14, "lost": ("lines",), "lost_count": 1, **others,
        }
    )  # fmt: skip


MANIFEST = manifest_of(PACKED, BUFFER)
