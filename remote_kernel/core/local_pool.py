"""How a kernel finds the user's local pool: the contents of its runtime file."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

RUNTIME_FOLDER = "remote-kernel"  # inside Jupyter's runtime folder
RUNTIME_FILE = "pool.json"
LOCK_FILE = "pool.lock"
OPENER_FILE = "pool-page.html"  # leads a browser to the pool's page

# Names of this machine that never leave it.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# Paths of the local pool itself; no pod ever sees a request for them.
STATUS_PATH = "/.local/status"
STOP_PATH = "/.local/stop"
# What the pool's page consists of is below this; the page itself is at "/".
PAGE_PREFIX = "/.local/page/"
PAGE_LINK_PATH = PAGE_PREFIX + "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPool:
    """Where a local pool listens, what it accepts as bearer token, and which process it is."""

    endpoint: str
    token: str = field(repr=False)
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the endpoint."""
        parts = urlsplit(self.endpoint)
        return parts.hostname or "", parts.port or 80

    def to_json(self) -> str:
        return json.dumps({"endpoint": self.endpoint, "token": self.token, "pid": self.pid})

    @classmethod
    def from_json(cls, text: str) -> "RunningPool | None":
        """Read a runtime file; `None` when it is not one, as after a full disk."""
        try:
            fields = json.loads(text)
            pool = cls(endpoint=fields["endpoint"], token=fields["token"], pid=fields["pid"])
            is_valid = urlsplit(pool.endpoint).scheme == "http" and all(pool.address)
            is_valid = is_valid and type(pool.pid) is int and type(pool.token) is str and bool(pool.token)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return pool if is_valid else None
