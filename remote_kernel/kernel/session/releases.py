"""Releases of sessions, also of those that could not be reached when their kernels ended.

A release is written down before it is tried, and stays so until it is done. What did not work in the time that a kernel
has at its end is done by the next kernel of the user that starts. That may be long after the cooldown, as others keep
the pod warm.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, WireError
from remote_kernel.core.identity import Identifier, is_identifier
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.pools.front_door import counts_as_gone
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.fields import from_fields
from remote_kernel.io.private_files import make_private_folder, read_json_object, write_private
from remote_kernel.io.system.file_locks import try_hold
from remote_kernel.kernel.session.binding import Binding

RELEASES_FOLDER = "remote-kernel/releases"  # inside Jupyter's runtime folder

# By the next day most pods have gone, whoever kept them warm.
MAX_AGE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A kernel in a pod that is to end, and the pod with it when it was the last one.

    Attributes:
        endpoint: of the pool; that of an environment for a local one.
        epoch: what is to end; another epoch belongs to somebody else. "" for none: nothing has been heard of the pod.
        reader: how the pod tells the kernel that gives it back from others.
        expires_at: from when on it is not tried any more, in seconds since 1970.
    """

    endpoint: str
    identifier: Identifier = field(repr=False)
    kernel: str
    kernelspec: str
    epoch: str
    expires_at: float
    reader: str = ""


class Returned(NamedTuple):
    """Result of giving a session back.

    Attributes:
        stopped: whether the pod was stopped.
        others: how many other kernels use, or have just used, the interpreter that was given back.
        kernels: how many kernels the pod goes on with.
    """

    stopped: bool
    others: int
    kernels: int


def release_of(binding: Binding, now: float) -> Release:
    """Return the release of a session that may have been used just before `now` (seconds since 1970)."""
    return Release(
        endpoint=binding.endpoint,
        identifier=binding.identifier,
        kernel=binding.kernel,
        kernelspec=binding.kernelspec,
        epoch=binding.epoch or binding.restarted,
        expires_at=now + MAX_AGE_SECONDS,
        reader=binding.reader,
    )


async def give_back(pool: Route, release: Release, *, is_order: bool = False) -> Returned:
    """End the kernel if nobody else uses it, and the pod if it then has none that anybody does; the pod decides.

    Args:
        is_order: the user has said so: whoever else uses the kernel loses it, and is told.

    Raises:
        PoolError: it did not work; it can be tried again, as nothing happens to another epoch.
    """
    params = {
        "kernel": release.kernel, "kernelspec": release.kernelspec, "epoch": release.epoch, "reader": release.reader,
        "order": "1" if is_order else "",
    }  # fmt: skip
    answer = await pool.request("POST", wire.RELEASE_PATH, params=params)
    others, kernels = answer.get("others"), answer.get("kernels")
    if type(others) is not int or type(kernels) is not int:
        raise PoolUnreachable("Something on the way to the session answers in its place.")
    stops = answer.get("stops") is True
    if stops:
        await stop_pod(pool)
    return Returned(stopped=stops, others=others, kernels=kernels)


async def stop_pod(pool: Route) -> None:
    """Have the pool stop the pod of the identifier, whichever that is; takes no session. Raises `PoolError`.

    For a pod that has just said that nobody needs it and takes nobody in, or on the order of the user.
    """
    try:
        await pool.request("POST", wire.STOP_SESSION_PATH)
    except PoolRefused as error:
        if not counts_as_gone(error.status, error.code):
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
        """Return whether there may be any."""
        return bool(self._paths())

    def _paths(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return list(self._folder.glob("*.json"))
        return []

    def waiting(self, endpoint: str, now: float) -> list[Path]:
        """Return the files of the releases of one pool, those tried longest ago first.

        What has expired at `now` (seconds since 1970) is removed.
        """
        waiting: list[tuple[float, Path]] = []
        for path in self._paths():
            with contextlib.suppress(OSError):  # another process has just done it
                tried_at = path.stat().st_mtime
                release = _read(path)
                if release is None or release.expires_at <= now:
                    path.unlink()
                elif release.endpoint == endpoint:
                    waiting.append((tried_at, path))
        return [path for _, path in sorted(waiting)]

    @contextlib.contextmanager
    def try_take(self, path: Path) -> Iterator[Release | None]:
        """Give a release to one process at a time, until the block ends; `None` when another has it, or has done it.

        `remove` it when it is done: what is not removed is tried again, also after a process that was killed meanwhile.
        """
        with try_hold(path) as is_ours:
            release = _read(path) if is_ours else None
            if release is not None:
                with contextlib.suppress(OSError):
                    os.utime(path)
            yield release


def _read(path: Path) -> Release | None:
    try:
        release: Release = from_fields(Release, read_json_object(path, ANSWER))
    except (OSError, WireError):
        return None
    return release if is_identifier(release.identifier) else None
