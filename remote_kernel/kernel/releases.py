"""Giving sessions back, also those that could not be reached when their kernels ended.

A release is written down before it is tried. What did not work within the second or two that a kernel has at its end
is done by the next kernel of the user that starts, as long as the pool would not have taken the session by itself.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from remote_kernel.client.messages import post_once
from remote_kernel.client.way import Way
from remote_kernel.core import wire
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.identity import Identifier, is_identifier
from remote_kernel.private_files import make_private_folder, write_private

RELEASES_FOLDER = "remote-kernel/releases"  # inside Jupyter's runtime folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A kernel in a pod that is to end, and the pod with it when it was the last one.

    Attributes:
        endpoint: of the pool; "" for the local one.
        epoch: what is to end; another epoch belongs to somebody else. "" for none: nothing has been heard of the pod.
        reader: how the pod tells the kernel that gives it back from others.
        expires_at: when the pool's cooldown has taken the session at the latest, in seconds since 1970.
    """

    endpoint: str
    identifier: Identifier = field(repr=False)
    kernel: str
    kernelspec: str
    epoch: str
    expires_at: float
    reader: str = ""


async def give_back(pool: Way, release: Release, message: wire.Message) -> int:
    """Shut the kernel down with `message`, a `shutdown_request`, and stop a pod that then has none.

    Returns:
        How many kernels the pod goes on with.

    Raises:
        PoolError: it did not work; it can be tried again, as nothing happens to another epoch.
    """
    kernels = await _shut_down(pool, release, message) if release.epoch else None
    if kernels is None:  # a new pod that a request of ours has taken, this very one perhaps, or another's interpreter
        session = await pool.request("GET", wire.SESSION_PATH, params={"reader": release.reader})
        kernels = sum(kernel.get("is_used", True) for kernel in session.get("kernels", [{}]))
    if kernels == 0:
        await stop_pod(pool)
    return kernels


async def _shut_down(pool: Way, release: Release, message: wire.Message) -> int | None:
    """Shut the kernel down and return how many the pod goes on with; `None` when that kernel is not there."""
    target = {"kernel": release.kernel, "kernelspec": release.kernelspec}
    try:
        return await post_once(pool, target, message, release.epoch)
    except PoolRefused as error:
        if error.code != wire.EPOCH_MISMATCH:
            raise
        return None


async def stop_pod(pool: Way) -> None:
    """Stop the pod without a word to it; unlike any other request this takes no session. Raises `PoolError`."""
    try:
        await pool.request("POST", wire.STOP_SESSION_PATH)
    except PoolRefused as error:
        if error.status != 404:  # there is none: as good
            raise


class Releases:
    """The releases that are still to be done, as files."""

    def __init__(self, runtime_folder: Path) -> None:
        self._folder = runtime_folder / RELEASES_FOLDER

    def add(self, release: Release) -> Path | None:
        """Write a release down; `None` when the disk does not take it."""
        path = self._folder / f"{secrets.token_hex(8)}.json"
        try:
            make_private_folder(self._folder.parent)
            make_private_folder(self._folder)
            write_private(path, json.dumps(asdict(release)))
        except OSError:
            return None
        return path

    def remove(self, path: Path | None) -> None:
        """Forget a release that was done."""
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()

    def any(self) -> bool:
        """Whether there may be any."""
        with contextlib.suppress(OSError):
            return next(self._folder.glob("*.json"), None) is not None
        return False

    def take(self, endpoint: str, now: float) -> Iterator[Release]:
        """Yield the releases of one pool, each to one process only; `add` those again that still do not work.

        What has expired at `now` (seconds since 1970) is removed.
        """
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError:
            return
        for path in paths:
            release = _read(path)
            if release is not None and release.expires_at > now and release.endpoint != endpoint:
                continue
            try:
                path.unlink()
            except OSError:
                continue  # another process was first
            if release is not None and release.expires_at > now:
                yield release


def _read(path: Path) -> Release | None:
    try:
        release = Release(**json.loads(path.read_text(encoding="utf-8")))
        is_valid = is_identifier(release.identifier) and isinstance(release.expires_at, int | float)
    except (OSError, ValueError, TypeError):
        return None
    return release if is_valid else None
