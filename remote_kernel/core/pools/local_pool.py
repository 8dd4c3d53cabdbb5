"""Runtime file of an environment's local pool, by which its kernels find it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from remote_kernel.core.errors import WireError
from remote_kernel.core.numbers import Range
from remote_kernel.core.wire.fields import from_fields

POOLS_FOLDER = "remote-kernel/pools"  # inside Jupyter's runtime folder; below it is a folder for each environment
RUNTIME_FILE = "pool.json"
LOCK_FILE = "pool.lock"
OPENER_FILE = "pool-page.html"  # leads a browser to the pool's page

# What stands in an endpoint's place for the local pool of an environment, with the environment's name behind it.
LOCAL_SCHEME = "local:"

NOT_ON_WINDOWS = (
    "The local session pool runs on Linux and macOS: set REMOTE_KERNEL_ENDPOINT to the endpoint of a session pool, "
    "or use Jupyter inside WSL."
)

# Names of this machine that never leave it.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# Paths of the local pool itself; no pod ever sees a request for them.
STATUS_PATH = "/.local/status"
STOP_PATH = "/.local/stop"
# Answers with the socket of a session's pod, where its requests may pass the pool by.
SOCKET_PATH = "/.local/socket"
# What the pool's page consists of is below this; the page itself is at "/".
PAGE_PREFIX = "/.local/page/"
PAGE_LINK_PATH = PAGE_PREFIX + "link"


class Environment(NamedTuple):
    """An interpreter with its packages, and the version of this one among them; all three by their real paths.

    The version belongs to it so that after an upgrade nobody talks to a pool that runs the old code; where the package
    lies does not, so that an editable installation is the same environment whatever is edited.
    """

    prefix: str
    executable: str
    version: str

    @property
    def name(self) -> str:
        """A short name for folders."""
        text = "\0".join((self.prefix, self.executable, self.version))
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def endpoint(self) -> str:
        """Return what stands in an endpoint's place for this environment's local pool."""
        return LOCAL_SCHEME + self.name


def is_local(endpoint: str) -> bool:
    """Return whether this is the local pool of an environment; "" is that of nobody knows which one."""
    return not endpoint or endpoint.startswith(LOCAL_SCHEME)


def environment_name(endpoint: str) -> str:
    return endpoint.removeprefix(LOCAL_SCHEME)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPool:
    """Running local pool: its endpoint, its bearer token, its process.

    Attributes:
        python: path of the environment's interpreter, for people.
        version: of this package, for people.
    """

    endpoint: str
    token: str = field(repr=False)
    pid: Annotated[int, Range(least=1, most=2**31 - 1)]
    python: str = ""
    version: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the endpoint."""
        parts = urlsplit(self.endpoint)
        return parts.hostname or "", parts.port or 80

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, value: object) -> "RunningPool | None":
        """Read a runtime file's object; `None` when it is not one, as after a full disk."""
        try:
            pool: RunningPool = from_fields(cls, value)
            is_valid = urlsplit(pool.endpoint).scheme == "http" and all(pool.address) and bool(pool.token)
        except (WireError, ValueError):
            return None
        return pool if is_valid else None
