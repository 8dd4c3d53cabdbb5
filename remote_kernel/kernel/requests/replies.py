"""Replies of our own, and how an error looks in a cell."""

import re
from collections.abc import Callable, Mapping

from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.request import Request

# "SessionLost" is two words.
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def show_error(error: RemoteKernelError) -> Shown:
    """Return what explains an error: its name in words, and its sentences."""
    words = _CAPITAL.sub(" ", error.name).capitalize()
    return Shown(style.problem(words, str(error)), str(error))


class Replies:
    """Replies of our own, between the two status messages that belong to each.

    Front ends believe the last word on whether the session is busy. Where it runs something that nobody here waits for,
    that is said again behind each reply.

    Args:
        die: ends the kernel, as one ends that has crashed.
    """

    def __init__(self, channels: Channels, requests: InFlightRequests, *, die: Callable[[], None]) -> None:
        self._channels = channels
        self._requests = requests
        self._die = die
        self._is_attended = False
        # The requests of which we have said "busy" and the pod has not, which is also when a reply has come first.
        self._said_busy: set[str] = set()

    def note_audience(self, request: Request) -> None:
        """Remember that somebody may be looking: a request allows input."""
        self._is_attended |= request.is_attended

    def say_busy(self, request: Request) -> None:
        """Say that a request is being worked on, unless the front end knows."""
        if not (request.info.msg_id in self._said_busy or request.has_begun):
            self._said_busy.add(request.info.msg_id)
            self._say_status(request, "busy")

    def say_idle(self, request: Request) -> None:
        """Say that nothing more comes of a request."""
        self._said_busy.discard(request.info.msg_id)
        self._say_status(request, "idle")

    def was_said_busy(self, msg_id: str) -> bool:
        """Note that the pod says "busy" of a request; whether we have said it before."""
        is_second = msg_id in self._said_busy
        self._said_busy.discard(msg_id)
        return is_second

    def _say_status(self, request: Request, state: str) -> None:
        self._channels.say("status", {"execution_state": state}, request.header)

    def say_left_busy(self) -> None:
        """Say that the session is busy with something of which nobody here waits for the end, if it is."""
        if self._requests.is_left_busy:
            self._channels.say("status", {"execution_state": "busy"})

    def end_left_busy(self) -> None:
        """Say that what the session was busy with is over, or gone with it."""
        if self._requests.is_left_busy:
            self._requests.is_left_busy = False
            self._channels.say("status", {"execution_state": "idle"})

    async def answer(self, request: Request, msg_type: str, content: Mapping[str, object]) -> None:
        """Reply to a request."""
        self.say_busy(request)
        await self._channels.reply(request.channel, request.prefixes, msg_type, content, request.header)
        self.say_idle(request)
        self.say_left_busy()

    async def abort(self, request: Request) -> None:
        """Reply as a kernel does to what stands behind a cell that failed."""
        await self.answer(request, request.reply_type, {"status": "aborted"})

    async def fail(self, request: Request, error: RemoteKernelError) -> None:
        """Reply with an error, which a cell shows as it shows the kernel's own, and explained above it to who looks."""
        is_explained = request.is_cell and request.is_attended
        content = local_answers.error_content(error, is_explained=is_explained)
        self.say_busy(request)
        if is_explained:
            Display(self._channels, request.header).show(show_error(error))
        if request.is_cell:
            shown = {name: content[name] for name in ("ename", "evalue", "traceback")}
            self._channels.say("error", shown, request.header)
            if isinstance(error, SessionLost) and not self._is_attended:
                # Whatever executes the notebook by itself would run the next cell on an empty session. A kernel that
                # has died, whose cells have no reply either, is what all such tools understand.
                self.say_idle(request)
                self._die()
                return
        if request.is_execute:
            content |= {"execution_count": 0, "user_expressions": {}, "payload": []}
        if request.info.msg_type == "debug_request":  # in the words of the Debug Adapter Protocol, too
            content |= {"type": "response", "success": False, "message": content["evalue"], "body": {}}
        await self.answer(request, request.reply_type, content)
