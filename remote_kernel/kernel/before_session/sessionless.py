"""Requests before there is a session: each is answered, waits, or is left to take one, as `first_requests` says."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC, Hello
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.first_requests import Treatment, debug_command, treatment_of
from remote_kernel.kernel.before_session.vscode_cells import REPLY, VsCodeCells
from remote_kernel.kernel.requests.effects import Effect, ReadHistory, Say, Step
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Request

# What front ends send by themselves is little; a program that sends more wants something done, and takes a session.
MAX_HELD = 32
MAX_HELD_BYTES = 1 << 20


class Known(Protocol):
    """Memory of what the pod's kernel has said of itself, this time or an earlier one."""

    content: dict[str, Any] | None


class Sessionless:
    """Answers for a kernel that has run nothing yet, as effects.

    Args:
        kernelspec: the kernel in the pod.
        ports: of this kernel, as a `connect_reply` names them.
    """

    def __init__(
        self, in_flight: InFlightRequests, replies: Replies, known: Known, *, kernelspec: str, ports: Mapping[str, int]
    ) -> None:
        self._in_flight = in_flight
        self._replies = replies
        self._known = known
        self._kernelspec = kernelspec
        self._ports = ports
        self._hidden = VsCodeCells()
        self._held: deque[Request] = deque()
        self._debugging: deque[Request] = deque()
        self._has_made_up_debug_info = False

    @property
    def _is_python(self) -> bool:
        """Return whether the kernel in the pod speaks Python, as far as anybody knows."""
        known = self._known.content
        if known is None:
            return self._kernelspec == DEFAULT_KERNELSPEC
        language = known.get("language_info")
        return isinstance(language, dict) and language.get("name") == "python"

    def tell_kernel_info(self, request: Request) -> list[Effect]:
        """Answer a `kernel_info_request` by what is known, or once the pod has told."""
        known = self._known.content
        if known is None and self._kernelspec != DEFAULT_KERNELSPEC:
            # Only the pod can say which language this is; front ends ask once and believe it.
            self._in_flight.add(request)
            return [Step.OPEN_SESSION]
        return self._replies.answer(request, local_answers.kernel_info(known))

    def answer_hidden(self, request: Request) -> list[Effect] | None:
        """Answer what VS Code runs by itself; `None` where it is not that."""
        return self._replies.answer(request, REPLY) if self._hidden.keep(request) else None

    def answer(self, request: Request) -> list[Effect] | None:
        """Do what can be done without a session; `None` where that is not all."""
        if (answer := self.answer_hidden(request)) is not None:
            return answer
        match treatment_of(request):
            case Treatment.ANSWERED:
                return self._answer(request)
            case Treatment.IGNORED:
                is_comm = request.info.msg_type.startswith("comm_")  # of widgets of a session that is gone
                return [*self._replies.busy(request), *self._replies.idle(request)] if is_comm else []
            case Treatment.HELD:
                return [] if self._hold(request) else None
            case Treatment.TAKES_SESSION:
                return None

    def _answer(self, request: Request) -> list[Effect]:
        msg_type, content = request.info.msg_type, request.content
        if msg_type == "comm_open":
            # As of a target that nobody has registered. ipywidgets' front end opens one with every notebook.
            closed = Say("comm_close", {"comm_id": content.get("comm_id", ""), "data": {}}, request.header)
            return [*self._replies.busy(request), closed, *self._replies.idle(request)]
        if msg_type == "history_request":
            return [*self._replies.busy(request), ReadHistory(request)]
        self._has_made_up_debug_info |= debug_command(request) == "debugInfo"
        reply = local_answers.without_session(msg_type, content, is_python=self._is_python)
        if msg_type == "connect_request":
            reply |= self._ports
        return self._replies.answer(request, reply)

    # What waits for a session

    def _hold(self, request: Request) -> bool:
        """Have a message wait until something brings a session; whether there is room for it."""
        size = sum(held.size for held in self._held) + request.size
        if len(self._held) >= MAX_HELD or size > MAX_HELD_BYTES:
            return False
        self._held.append(request)
        return True

    def take_waiting(self) -> list[Request]:
        """Return what goes ahead of a message that needs the session: hidden cells first."""
        held, self._held = self._held, deque()
        return [*self._hidden.take(), *held]

    def hold_debugger(self, request: Request, hello: Hello | None) -> list[Effect] | None:
        """Have the debugger's start wait for a session whose agent knows the file names that we made up, and what
        comes behind it, too; `None` where it does not wait and was not refused.

        Args:
            hello: of the session, where it can be reached.
        """
        command = debug_command(request) if self._has_made_up_debug_info else ""
        if not command:
            return None
        if hello is None and (self._debugging or command == "initialize"):
            self._in_flight.add(request)
            self._debugging.append(request)
            return [Step.OPEN_SESSION]
        if command == "debugInfo":
            self._has_made_up_debug_info = False  # its own answer is the right one from now on
        if hello is not None and command == "initialize" and not _translates_files(hello):
            return self._refuse_debugger(request)
        return None

    def _refuse_debugger(self, request: Request) -> list[Effect]:
        """Have the front end ask again where the files are: with the wrong names each breakpoint would miss."""
        content = local_answers.without_session("debug_request", request.content, is_python=self._is_python)
        self._in_flight.end(request)
        return self._replies.answer(request, content)

    def attached(self, hello: Hello) -> list[Effect]:
        """Answer what waited for the session to be there, and send what waited for its kernel."""
        effects: list[Effect] = []
        for request in self._in_flight:
            if request.info.msg_type == "kernel_info_request":
                self._in_flight.end(request)
                effects += self._replies.answer(request, local_answers.kernel_info(self._known.content))
        held, self._held = self._held, deque()
        debugging, self._debugging = self._debugging, deque()
        for request in held:
            effects.append(self._in_flight.send(request))
        for request in debugging:
            if request not in self._in_flight:
                continue  # it was interrupted meanwhile
            if _translates_files(hello):
                effects.append(self._in_flight.send(request))
            else:
                effects += self._refuse_debugger(request)
        return effects

    def forget_waiting(self) -> None:
        """Keep nothing of requests that have ended otherwise."""
        self._debugging.clear()


def _translates_files(hello: Hello) -> bool:
    """Return whether cells' files are in the session where a front end has been told that they are."""
    from remote_kernel.core.jupyter.debugger_files import PREFIX  # late: few debug

    return hello.cell_files == PREFIX
