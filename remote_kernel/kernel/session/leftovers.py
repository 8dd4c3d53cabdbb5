"""Sessions of kernels that ended without a word, to which nobody can come back: found, and turned into releases."""

import contextlib
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.text.human_numbers import format_seconds
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.io.private_files import read_json_object
from remote_kernel.io.system.file_locks import try_hold
from remote_kernel.io.system.processes import lives
from remote_kernel.kernel.session.binding import BINDINGS_FOLDER, Binding, BindingFile, read_binding
from remote_kernel.kernel.session.known_sessions import KnownSession
from remote_kernel.kernel.session.releases import Releases, release_of

# A kernel that is gone has its session for the pool's cooldown, and perhaps for as long as it waited for a cell before.
LIKELY_SECONDS = 600.0

SHOWN_NOTEBOOKS = 2


def can_reclaim(binding: Binding, *, can_come_back: bool, endpoint: str, host: str) -> bool:
    """Decide whether the session of a kernel that is gone is of no use to anybody, so that another may give it back.

    Of another machine nothing is known.

    Args:
        can_come_back: whether a successor has its connection file, and somebody who starts it.
    """
    is_ours = binding.endpoint == endpoint and binding.host == host
    return is_ours and not (binding.can_be_found or can_come_back)


def collect(runtime_folder: Path, releases: Releases, *, endpoint: str, only_recent: bool) -> None:
    """Write a release for each session in one pool that can be reclaimed, and forget its kernel.

    Args:
        only_recent: whether to leave those alone that the pool has most likely taken: asking for one takes it anew.
    """
    host, now = socket.gethostname(), time.time()
    with contextlib.suppress(OSError):
        for path in sorted((runtime_folder / BINDINGS_FOLDER).glob("*.json")):
            with try_hold(path.with_suffix(".cursor")) as is_left:
                if not is_left or (binding := read_binding(path)) is None:
                    continue
                can_come_back = _has_file(runtime_folder, path, binding) and _has_parent(binding)
                if not can_reclaim(binding, can_come_back=can_come_back, endpoint=endpoint, host=host):
                    continue
                heard_at = max(path.stat().st_mtime, path.with_suffix(".cursor").stat().st_mtime)
                if only_recent and now - heard_at > binding.cooldown_seconds:
                    continue
                if releases.add(release_of(binding, now)) is not None:
                    path.unlink()
                    path.with_suffix(".cursor").unlink()


def _has_file(runtime_folder: Path, path: Path, binding: Binding) -> bool:
    """Return whether a kernel that was started with the connection file would find this very binding."""
    connection_file = Path(binding.connection_file)
    try:
        key = str(read_json_object(connection_file, ANSWER)["key"]).encode()
    except FileNotFoundError:
        return False
    except (OSError, ValueError, WireError, KeyError):
        return True  # nobody knows
    return BindingFile(runtime_folder, connection_file=connection_file, key=key).path == path


def _has_parent(binding: Binding) -> bool:
    return not binding.parent or lives(binding.parent)


def describe_users(sessions: Sequence[KnownSession], *, endpoint: str, own: str, now: float) -> str:
    """Return in a sentence which notebooks have the sessions of a pool, those longest idle first; "" for none."""
    idle: dict[str, tuple[float, str]] = {}
    for session in sessions:
        seconds = now - session.heard_at
        is_likely = session.is_alive or seconds < LIKELY_SECONDS
        if session.endpoint == endpoint and session.identifier != own and is_likely:
            name = one_line(Path(session.notebook).name) or "a notebook without a path"
            idle.setdefault(session.identifier, (seconds, name))
    if not idle:
        return ""
    longest = sorted(idle.values(), reverse=True)
    shown = [f"{name}, idle for {format_seconds(seconds)}" for seconds, name in longest[:SHOWN_NOTEBOOKS]]
    more = [f"{len(longest) - SHOWN_NOTEBOOKS} more"] if len(longest) > SHOWN_NOTEBOOKS else []
    return f"Yours: {'; '.join(shown + more)} ('remote-kernel sessions' lists and stops them)."
