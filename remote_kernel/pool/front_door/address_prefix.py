"""The long form of a pool's address: Azure's built-in interpreters are below a path that names their pool."""

import re
from urllib.parse import unquote

from starlette.types import Scope

PREFIX_HEADER = b"x-forwarded-prefix"

_PREFIX = re.compile(rb"/subscriptions/[^/]+/resourceGroups/[^/]+/sessionPools/[^/]+(?=/|$)", re.IGNORECASE)


def strip_prefix(scope: Scope) -> Scope:
    """Return a request as if it had been made without the pool's long path, which goes into a header for the pod.

    Whatever the path names, it is this pool.
    """
    headers = [(name, value) for name, value in scope["headers"] if name != PREFIX_HEADER]
    prefix = _PREFIX.match(scope["raw_path"])
    if prefix is None:
        return {**scope, "headers": headers}
    path = scope["raw_path"][prefix.end() :] or b"/"
    headers.append((PREFIX_HEADER, prefix.group()))
    return {**scope, "raw_path": path, "path": unquote(path.decode("latin-1")), "headers": headers}
