"""What is answered without a session, where none is to be taken for the question's sake, and what waits for one."""

from collections.abc import Callable

from remote_kernel.core.jupyter import parse_object
from remote_kernel.core.wire import DEFAULT_KERNELSPEC, Message
from remote_kernel.kernel import answers
from remote_kernel.kernel.channels import Channels
from remote_kernel.kernel.hidden import HiddenCells
from remote_kernel.kernel.known_info import KnownInfo
from remote_kernel.kernel.open_requests import OpenRequests
from remote_kernel.kernel.replies import Replies
from remote_kernel.kernel.requests import Request


class Sessionless:
    """Answers for a kernel that has run nothing yet.

    Args:
        kernelspec: the kernel in the pod.
        open_session: begins to look for a session, without waiting for it.
    """

    def __init__(
        self, channels: Channels, requests: OpenRequests, replies: Replies, hidden: HiddenCells, known: KnownInfo, *,
        kernelspec: str, open_session: Callable[[], None],
    ) -> None:  # fmt: skip
        self._channels = channels
        self._requests = requests
        self._replies = replies
        self._hidden = hidden
        self._known = known
        self._kernelspec = kernelspec
        self._open_session = open_session
        self._refused_debuggers: dict[str, tuple[str, dict[str, object]]] = {}
        self._has_made_up_debug_info = False

    async def tell_kernel_info(self, request: Request) -> None:
        """Answer a `kernel_info_request` by what is known, or once the pod has told."""
        known = self._known.content
        if known is None and self._kernelspec != DEFAULT_KERNELSPEC:
            # Only the pod can say which language this is; front ends ask once and believe it.
            self._requests.add(request)
            self._open_session()
        else:
            await self._replies.answer(request, "kernel_info_reply", answers.kernel_info(known))

    def may_ask_pod(self, msg_type: str, content_part: bytes) -> bool:
        """Whether the session's answer helps: no debugger finds a cell's file by what we made up of its name."""
        command = answers.debug_command(msg_type, content_part)
        if command == "debugInfo":
            self._has_made_up_debug_info = False
        return command != "initialize" or not self._has_made_up_debug_info

    async def answer_hidden(self, request: Request, message: Message) -> bool:
        """Answer what VS Code runs by itself; whether it was that."""
        answer = self._hidden.answer(request.info.msg_type, message)
        if answer is not None:
            await self._replies.answer(request, *answer)
        return answer is not None

    async def answer(self, request: Request, message: Message, *, is_attached: bool) -> bool:
        """Answer a request that needs no session; whether it was one."""
        if await self.answer_hidden(request, message):
            return True
        msg_type, content_part = request.info.msg_type, message.parts[3]
        if answers.is_for_widgets(msg_type, content_part):
            self._close_comm(request, content_part)
        elif (answer := answers.without_session(msg_type, content_part)) is None:
            return False
        else:
            await self._answer(request, answer, answers.debug_command(msg_type, content_part), is_attached)
        return True

    async def _answer(
        self, request: Request, answer: tuple[str, dict[str, object]], debug_command: str, is_attached: bool
    ) -> None:
        self._has_made_up_debug_info |= debug_command == "debugInfo"
        if debug_command == "initialize" and not is_attached:
            # Refused when trying again helps: who is refused at once tries again too soon.
            self._requests.add(request)
            self._refused_debuggers[request.info.msg_id] = answer
            self._open_session()
        else:
            await self._replies.answer(request, *answer)

    def _close_comm(self, request: Request, content_part: bytes) -> None:
        """Widgets of a session that is gone: there is nobody to talk to."""
        self._replies.say_busy(request)
        if request.info.msg_type == "comm_open":
            comm_id = parse_object(content_part).get("comm_id", "")
            self._channels.say("comm_close", {"comm_id": comm_id, "data": {}}, request.header)
        self._replies.say_idle(request)

    async def answer_waiting(self) -> None:
        """Answer what waited for the session to be there, and not for a word of its kernel."""
        for request in self._requests:
            answer = self._refused_debuggers.pop(request.info.msg_id, None)
            if request.info.msg_type == "kernel_info_request":
                answer = "kernel_info_reply", answers.kernel_info(self._known.content)
            if answer is not None:
                self._requests.close(request.info.msg_id)
                await self._replies.answer(request, *answer)

    def forget_waiting(self) -> None:
        """Keep no answer for requests that have ended otherwise."""
        self._refused_debuggers.clear()
