"""Asking for launch options with each new session, and what the user is told of the answer."""

import asyncio
from collections.abc import Callable

from remote_kernel.core.wire.launch import OTHER, Launch
from remote_kernel.kernel.launch.options import HASH_SEED, LaunchOptions, Place
from remote_kernel.kernel.output.session_notices import STARTED_OTHERWISE, describe_unknown_launch


class LaunchAsking:
    """Reads the launch options for a link, and turns what a pod answers into a note.

    Args:
        find_place: returns where the notebook is in the session, `None` for in no workspace.
    """

    def __init__(self, options: LaunchOptions, find_place: Callable[[], Place | None]) -> None:
        self._options = options
        self._find_place = find_place
        self._asked: Launch | None = None  # until the answer has come
        self._has_told_unknown = False

    async def read(self) -> Launch:
        """Return the options of today; raises `SettingsError`."""
        self._asked = await asyncio.to_thread(self._options.read, self._find_place())
        return self._asked

    def take_note(self, answer: str) -> str:
        """Return what to tell of `Hello.launch`, once for each time that it was asked for; "" for nothing."""
        asked, self._asked = self._asked, None
        if asked is None:
            return ""
        if answer == OTHER:
            return STARTED_OTHERWISE
        wanted = _describe(asked)
        if answer or not wanted or self._has_told_unknown:
            return ""
        self._has_told_unknown = True
        return describe_unknown_launch(wanted)


def _describe(launch: Launch) -> str:
    """Return what of it a user has set, in words; "" for nothing."""
    wanted = {
        "forwarded variables": bool(launch.environ.keys() - {HASH_SEED}),
        "a startup file": bool(launch.startup),
        "a workspace": bool(launch.workspace),
    }
    return " and ".join(name for name, is_wanted in wanted.items() if is_wanted)
