"""Mounts: a `/mnt/data` of each pod's own, where Azure's pods have their files and clients' code looks for them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

DATA = "/mnt/data"

# In a mount namespace of the pod's own: nobody else sees what is mounted there, and it goes with the pod.
# Where /mnt has no folder for it, /mnt is one in memory, with all folders that were there.
_SCRIPT = f"""\
if [ ! -d {DATA} ]; then
    there="$0/../mnt" && mkdir "$there" && mount --rbind /mnt "$there" && mount -t tmpfs tmpfs /mnt || exit
    for folder in "$there"/*/; do
        name="/mnt/$(basename "$folder")"
        [ ! -d "$folder" ] || {{ mkdir "$name" && mount --rbind "$folder" "$name"; }} || exit
    done
    umount --lazy "$there" && mkdir {DATA} || exit
fi
mount --bind "$0" {DATA} && exec "$@"
"""

_MOUNTS = ("--mount", "--propagation", "slave")
_SHELL = ("sh", "-c", _SCRIPT)
_OF_ROOT = ("unshare", *_MOUNTS, *_SHELL)

_PROBE_SECONDS = 5.0


def with_data_mounted(folder: str, command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that runs `command` with `folder` at `/mnt/data`; see `can_mount`.

    What the system mounts elsewhere comes and goes there as well. Whoever is not root is for as long as mounting takes,
    in a user namespace, and in one within it is who he was.
    """
    if os.geteuid() == 0:
        return (*_OF_ROOT, folder, *command)
    oneself = (f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}")
    return ("unshare", "--map-root-user", *_MOUNTS, *_SHELL, folder, "unshare", "--user", *oneself, *command)


def mounting_of(command: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Take a command of `with_data_mounted` apart, where root runs it.

    Returns:
        A program that does the mounting in a namespace that is there, and the command that follows: nothing, and the
        command as it is, where nothing is mounted or the way there is another.
    """
    size = len(_OF_ROOT)
    if tuple(command[:size]) != _OF_ROOT:
        return (), command
    shell, folder = command[1 + len(_MOUNTS) : size], command[size]
    return (*shell, folder, "true"), command[size + 1 :]


def can_mount() -> bool:
    """Return whether this system lets us: Linux does, as far as it allows namespaces, which containers often may not
    have. To find out takes some 20 ms."""
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "data")
        folder.mkdir()
        probe = with_data_mounted(str(folder), ["true"])
        try:
            return subprocess.run(probe, capture_output=True, timeout=_PROBE_SECONDS, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def costs_nothing() -> bool:
    """Return whether pods with a `/mnt/data` of their own can do and see all that others can.

    Whoever is not root is in a user namespace there, without `sudo` and without further groups. And nothing in `/mnt`
    may be hidden: files, links, folders that are made there later, or what is in this machine's own `/mnt/data`.
    """
    data = Path(DATA)
    try:
        is_bare = set(data.parent.iterdir()) <= {data} and not (os.path.lexists(data) and any(data.iterdir()))
    except OSError:
        return False
    return is_bare and os.geteuid() == 0
