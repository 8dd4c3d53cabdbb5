"""Completion and inspection of `%session` lines; all others are for the kernel in the pod."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.magics import session_command
from remote_kernel.kernel.magics.command import Verb
from remote_kernel.kernel.magics.command_line import IS_WINDOWS, Typed, quoted, scan
from remote_kernel.kernel.magics.session_command import SyncAction
from remote_kernel.kernel.requests.request import Request

if TYPE_CHECKING:
    from remote_kernel.core.workspace.totals import Totals

# Names in a folder of the session, and whether each is a folder.
ListRemote = Callable[[str], Awaitable[list[tuple[str, bool]]]]

MAX_MATCHES = 500

_OPTIONS: Mapping[str, Sequence[str]] = {
    Verb.UPLOAD: ["--to"],
    Verb.DOWNLOAD: ["--to", "--force"],
    Verb.INSTALL: ["-r", "--project"],
    Verb.RESTORE: ["--force"],
}

# Words that may stand behind these.
_WORDS: Mapping[str, Sequence[str]] = {
    Verb.KEEP: ("45m", "2h", "8h", "off"),
    Verb.SAVES: ("delete",),
    Verb.AUTOSAVE: ("on", "off", "status"),
}

_LINE = re.compile(r"\s*%session[ \t]+(?P<rest>[^\n]*?)\s*")
_ASKED = re.compile(r"\s*%session\b[^\n]*\s*")


class Completion:
    """Answers `complete_request` and `inspect_request` for commands of ours.

    Args:
        list_remote: lists a folder of the session.
        list_saves: names the saves of the notebook.
        list_variables: names the variables of a save.
        totals: returns those of the workspace; `None` where there is none.
        answer: replies to a request with a content.
        fail: replies to a request with an error.
    """

    def __init__(
        self,
        list_remote: ListRemote,
        list_saves: Callable[[], Awaitable[Sequence[str]]],
        list_variables: Callable[[str], Awaitable[Sequence[str]]],
        *,
        totals: "Callable[[], Totals | None]",
        answer: Callable[[Request, Mapping[str, Any]], None],
        fail: Callable[[Request, RemoteKernelError], None],
    ) -> None:
        self._list_remote = list_remote
        self._list_saves = list_saves
        self._list_variables = list_variables
        self._totals = totals
        self._reply = answer
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, request: Request) -> bool:
        """Answer a request if it is about a line of ours, as soon as possible; whether it is."""
        content = request.content
        code, cursor = content.get("code"), content.get("cursor_pos")
        if not isinstance(code, str) or not isinstance(cursor, int):
            return False
        is_completion = request.info.msg_type == "complete_request"
        typed = _typed(code, cursor)
        if typed is None if is_completion else not _ASKED.fullmatch(code):
            return False
        asked = self._complete(typed, cursor) if typed and is_completion else self._inspect()
        task = start(self._answer(request, asked), "completion")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, request: Request, asked: Awaitable[dict[str, Any]]) -> None:
        try:
            content = {"status": "ok", **await asked}
        except Exception as error:
            self._fail(request, report_defect(error))
        else:
            self._reply(request, content)

    async def _complete(self, typed: tuple[int, Typed], cursor: int) -> dict[str, Any]:
        offset, line = typed
        kind, matches = await self._candidates(line)
        start = offset + line.start
        described = [{"start": start, "end": cursor, "text": match, "type": kind} for match in matches]
        return {
            "matches": matches,
            "cursor_start": start,
            "cursor_end": cursor,
            "metadata": {"_jupyter_types_experimental": described},
        }

    async def _candidates(self, line: Typed) -> tuple[str, list[str]]:
        if not line.words:
            return "magic", [verb for verb in Verb if verb and verb.startswith(line.word)]
        verb, before = line.words[0], line.words[-1]
        if verb in _WORDS and len(line.words) == 1:
            return "keyword", [text for text in _WORDS[verb] if text.startswith(line.word)]
        if verb == Verb.SYNC and len(line.words) == 1:
            return "keyword", [word for word in SyncAction if word and word.startswith(line.word)]
        if line.word.startswith("--"):
            options = _OPTIONS.get(verb, ())
            return "keyword", [name for name in options if name.startswith(line.word) and name not in line.words]
        if verb == Verb.INSTALL:
            return await self._complete_install(line, before)
        if verb in (Verb.SAVE, Verb.RESTORE, Verb.SAVES):
            return "keyword", await self._complete_saves(line)
        if verb not in (Verb.FILES, Verb.UPLOAD, Verb.DOWNLOAD, Verb.SYNC):
            return "keyword", []
        is_target = before == "--to"
        folders_only = is_target or verb in (Verb.FILES, Verb.SYNC)
        if verb == Verb.SYNC or (verb == Verb.UPLOAD) != is_target:
            return "path", await asyncio.to_thread(match_local, line, folders_only=folders_only)
        folder, _ = _cut(line.word, "/")
        names = await self._list_remote(folder.rstrip("/") or folder)
        return "path", match_paths(line, names, folders_only=folders_only)

    async def _complete_install(self, line: Typed, before: str) -> tuple[str, list[str]]:
        if before == "-r":
            return "path", await asyncio.to_thread(match_local, line, folders_only=False)
        return "keyword", [name for name in _OPTIONS[Verb.INSTALL] if line.word and name.startswith(line.word)]

    async def _complete_saves(self, line: Typed) -> list[str]:
        has_place = len(line.words) == 1 or line.words == (Verb.SAVES, "delete")
        names = [*(await self._list_saves() if has_place else [])]
        if line.words[0] == Verb.RESTORE:  # its first word may be a variable, too
            names += await self._list_variables(line.words[1] if len(line.words) > 1 else "")
        found = [name for name in names if name.startswith(line.word) and name not in line.words[1:]]
        return [quoted(name, line.quote, is_complete=True) for name in found[:MAX_MATCHES]]

    async def _inspect(self) -> dict[str, Any]:
        data: dict[str, Any] = {"text/plain": session_command.HELP}
        if (totals := self._totals()) is not None:
            from remote_kernel.core.workspace.totals import MEDIA_TYPE  # late: most kernels have no workspace

            data[MEDIA_TYPE] = totals.to_json()
        return {"found": True, "data": data, "metadata": {}}

    async def aclose(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _typed(code: str, cursor: int) -> tuple[int, Typed] | None:
    """Return where what stands behind `%session` begins, and it up to the cursor; `None` for code of the pod."""
    match = _LINE.fullmatch(code)
    if match is None or cursor < match.start("rest"):
        return None
    return match.start("rest"), scan(code[match.start("rest") : cursor])


def list_local(folder: str) -> list[tuple[str, bool]]:
    """Return names in a folder of this machine, relative to the notebook's, and whether each is a folder."""
    try:
        path = Path.cwd() / Path(folder).expanduser()
        return sorted((child.name, child.is_dir()) for child in path.iterdir())
    except (OSError, RuntimeError, ValueError):  # or there is no such user behind a "~", or no such path can be
        return []


def match_local(line: Typed, *, folders_only: bool, is_windows: bool = IS_WINDOWS) -> list[str]:
    """Return the paths of this machine that the word at the cursor may become, as they are to be typed."""
    separators = "/\\" if is_windows else "/"
    folder, _ = _cut(line.word, separators)
    names = list_local(folder)
    return match_paths(line, names, folders_only=folders_only, separators=separators, is_windows=is_windows)


def match_paths(
    line: Typed,
    names: Iterable[tuple[str, bool]],
    *,
    folders_only: bool,
    separators: str = "/",
    is_windows: bool = IS_WINDOWS,
) -> list[str]:
    """Return the paths that the word at the cursor may become, as they are to be typed.

    Args:
        separators: of the parts of a path; in the session "/", also where this machine has others.
    """
    folder, begun = _cut(line.word, separators)
    separator = folder[-1:] or "/"

    def path_of(name: str) -> str:
        # A name like that of an option would be taken for one.
        return f"./{name}" if name.startswith("--") and not folder else f"{folder}{name}"

    return [
        quoted(
            f"{path_of(name)}{separator if is_folder else ''}",
            line.quote,
            is_complete=not is_folder,
            is_windows=is_windows,
        )
        for name, is_folder in names
        if name.startswith(begun)
        and (is_folder or not folders_only)
        and (begun.startswith(".") or not name.startswith("."))
    ][:MAX_MATCHES]


def _cut(path: str, separators: str) -> tuple[str, str]:
    """Return the folder that a path begins with, its separator included, and what stands behind it."""
    begun = max(map(path.rfind, separators)) + 1
    return path[:begun], path[begun:]
