"""Replies of our own, each between the two status messages that belong to it, and how an error looks in a cell."""

import re
from collections.abc import Mapping
from typing import Any

from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.requests.effects import Effect, Reply, Say, Show, Step
from remote_kernel.kernel.requests.request import Request

# "SessionLost" is two words.
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def show_error(error: RemoteKernelError) -> Shown:
    """Return what explains an error: its name in words, and its sentences."""
    words = _CAPITAL.sub(" ", error.name).capitalize()
    return Shown(style.problem(words, str(error)), str(error))


class Replies:
    """Replies of our own, as effects.

    Front ends believe the last word on whether the session is busy. Where it runs something that nobody here waits for,
    that is said again behind each reply.

    Attributes:
        is_left_busy: whether the session runs something that nobody here waits for.
    """

    def __init__(self) -> None:
        self.is_left_busy = False
        self._is_attended = False

    def note_audience(self, request: Request) -> None:
        """Remember that somebody may be looking: a request allows input."""
        self._is_attended |= request.is_attended

    def busy(self, request: Request) -> list[Effect]:
        """Say that a request is being worked on, unless the front end knows."""
        if request.is_busy_said:
            return []
        request.is_busy_said = True
        return [_status("busy", request.header)]

    def idle(self, request: Request) -> list[Effect]:
        """Say that nothing more comes of a request, unless the front end knows."""
        if request.is_idle_said:
            return []
        request.is_idle_said = True
        return [_status("idle", request.header)]

    def left_busy(self) -> list[Effect]:
        """Say that the session is busy with something of which nobody here waits for the end, if it is."""
        return [_status("busy")] if self.is_left_busy else []

    def end_left_busy(self) -> list[Effect]:
        """Say that what the session was busy with is over, or gone with it."""
        was_left_busy, self.is_left_busy = self.is_left_busy, False
        return [_status("idle")] if was_left_busy else []

    def answer(self, request: Request, content: Mapping[str, Any]) -> list[Effect]:
        reply = Reply(request, request.reply_type, content)
        return [*self.busy(request), reply, *self.idle(request), *self.left_busy()]

    def abort(self, request: Request) -> list[Effect]:
        """Reply as a kernel does to what stands behind a cell that failed."""
        return self.answer(request, {"status": "aborted"})

    def fail(self, request: Request, error: RemoteKernelError) -> list[Effect]:
        """Reply with an error, which a cell shows as it shows the kernel's own, and explained above it to who looks."""
        is_explained = request.is_cell and request.is_attended
        content = local_answers.error_content(error, is_explained=is_explained)
        effects = self.busy(request)
        if is_explained:
            effects.append(Show(show_error(error), request.header))
        if request.is_cell:
            shown = {name: content[name] for name in ("ename", "evalue", "traceback")}
            effects.append(Say("error", shown, request.header))
            if isinstance(error, SessionLost) and not self._is_attended:
                # Whatever executes the notebook by itself would run the next cell on an empty session. A kernel that
                # has died, whose cells have no reply either, is what all such tools understand.
                return [*effects, *self.idle(request), Step.END_KERNEL]
        if request.is_execute:
            content |= {"execution_count": 0, "user_expressions": {}, "payload": []}
        if request.info.msg_type == "debug_request":  # in the words of the Debug Adapter Protocol, too
            content |= {"type": "response", "success": False, "message": content["evalue"], "body": {}}
        return [*effects, *self.answer(request, content)]


def _status(state: str, parent: bytes = b"{}") -> Say:
    return Say("status", {"execution_state": state}, parent)
