"""Requests before there is a session: each is answered, waits, or is left to take one, as `first_requests` says."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from remote_kernel.core.jupyter import debugger_files
from remote_kernel.core.jupyter.messages import parse_object
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC, Hello, Message
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.first_requests import Treatment, debug_command, treatment_of
from remote_kernel.kernel.before_session.vscode_cells import VsCodeCells
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Request

# What front ends send by themselves is little; a program that sends more wants something done, and takes a session.
MAX_HELD = 32
MAX_HELD_BYTES = 1 << 20

Held = tuple[Request, Message]
ReadHistory = Callable[[Mapping[str, Any]], Awaitable[list[list[Any]]]]


class Sessionless:
    """Answers for a kernel that has run nothing yet.

    Args:
        kernelspec: the kernel in the pod.
        open_session: begins to look for a session, without waiting for it.
        send: sends a message to the session.
        read_history: returns what a `history_request` asks for.
    """

    def __init__(
        self, channels: Channels, requests: InFlightRequests, replies: Replies, hidden: VsCodeCells,
        known: KernelInfoCache, *, kernelspec: str, open_session: Callable[[], None], send: Callable[[Message], None],
        read_history: ReadHistory,
    ) -> None:  # fmt: skip
        self._channels = channels
        self._requests = requests
        self._replies = replies
        self._hidden = hidden
        self._known = known
        self._kernelspec = kernelspec
        self._open_session = open_session
        self._send = send
        self._read_history = read_history
        self._held: deque[Held] = deque()
        self._debugging: deque[Held] = deque()
        self._has_made_up_debug_info = False

    @property
    def _is_python(self) -> bool:
        """Return whether the kernel in the pod speaks Python, as far as anybody knows."""
        known = self._known.content
        if known is None:
            return self._kernelspec == DEFAULT_KERNELSPEC
        language = known.get("language_info")
        return isinstance(language, dict) and language.get("name") == "python"

    async def tell_kernel_info(self, request: Request) -> None:
        """Answer a `kernel_info_request` by what is known, or once the pod has told."""
        known = self._known.content
        if known is None and self._kernelspec != DEFAULT_KERNELSPEC:
            # Only the pod can say which language this is; front ends ask once and believe it.
            self._requests.add(request)
            self._open_session()
        else:
            await self._replies.answer(request, "kernel_info_reply", local_answers.kernel_info(known))

    async def answer_hidden(self, request: Request, message: Message) -> bool:
        """Answer what VS Code runs by itself; whether it was that."""
        answer = self._hidden.answer(request.info.msg_type, message)
        if answer is not None:
            await self._replies.answer(request, *answer)
        return answer is not None

    async def answer(self, request: Request, message: Message) -> bool:
        """Do what can be done without a session; whether that is all."""
        if await self.answer_hidden(request, message):
            return True
        match treatment_of(request.info.msg_type, message.parts[3]):
            case Treatment.ANSWERED:
                await self._answer(request, message)
            case Treatment.IGNORED:
                self._ignore(request)
            case Treatment.HELD:
                return self._hold(request, message)
            case Treatment.TAKES_SESSION:
                return False
        return True

    async def _answer(self, request: Request, message: Message) -> None:
        msg_type, content = request.info.msg_type, parse_object(message.parts[3])
        if msg_type == "comm_open":
            # As of a target that nobody has registered. ipywidgets' front end opens one with every notebook.
            self._replies.say_busy(request)
            self._channels.say("comm_close", {"comm_id": content.get("comm_id", ""), "data": {}}, request.header)
            self._replies.say_idle(request)
            return
        self._has_made_up_debug_info |= debug_command(msg_type, message.parts[3]) == "debugInfo"
        reply = local_answers.without_session(msg_type, content, is_python=self._is_python)
        if msg_type == "connect_request":
            reply |= self._channels.ports
        elif msg_type == "history_request":
            reply |= {"history": await self._read_history(content)}
        await self._replies.answer(request, request.reply_type, reply)

    def _ignore(self, request: Request) -> None:
        if request.info.msg_type.startswith("comm_"):  # of widgets of a session that is gone
            self._replies.say_busy(request)
            self._replies.say_idle(request)

    # What waits for a session

    def _hold(self, request: Request, message: Message) -> bool:
        """Have a message wait until something brings a session; whether there is room for it."""
        if len(self._held) >= MAX_HELD or sum(held.size for _, held in self._held) + message.size > MAX_HELD_BYTES:
            return False
        self._held.append((request, message))
        return True

    def take_held(self) -> list[Held]:
        """Return what has waited, to go to the session ahead of what brings it."""
        held = list(self._held)
        self._held.clear()
        return held

    async def hold_debugger(self, request: Request, message: Message, hello: Hello | None) -> bool:
        """Have the debugger's start wait for a session whose agent knows the file names that we made up, and what
        comes behind it, too; whether it waits, or was refused.

        Args:
            hello: of the session, where it can be reached.
        """
        command = debug_command(request.info.msg_type, message.parts[3])
        if not self._has_made_up_debug_info or not command:
            return False
        if hello is None and (self._debugging or command == "initialize"):
            self._requests.add(request)
            self._debugging.append((request, message))
            self._open_session()
            return True
        if command == "debugInfo":
            self._has_made_up_debug_info = False  # its own answer is the right one from now on
        is_refused = hello is not None and command == "initialize" and hello.cell_files != debugger_files.PREFIX
        if is_refused:
            await self._refuse_debugger(request, message)
        return is_refused

    async def _refuse_debugger(self, request: Request, message: Message) -> None:
        """Have the front end ask again where the files are: with the wrong names each breakpoint would miss."""
        content = local_answers.without_session(
            "debug_request", parse_object(message.parts[3]), is_python=self._is_python
        )
        await self._replies.answer(request, "debug_reply", content)

    async def answer_waiting(self, hello: Hello) -> None:
        """Answer what waited for the session to be there, and send what waited for its kernel."""
        for request in self._requests:
            if request.info.msg_type == "kernel_info_request":
                self._requests.close(request.info.msg_id)
                await self._replies.answer(request, "kernel_info_reply", local_answers.kernel_info(self._known.content))
        for request, message in self.take_held():
            self._requests.add(request)
            self._send(message)
        debugging, self._debugging = self._debugging, deque()
        for request, message in debugging:
            if self._requests.find(request.info.msg_id) is None:
                continue  # it was interrupted meanwhile
            if hello.cell_files == debugger_files.PREFIX:
                self._send(message)
            else:
                self._requests.close(request.info.msg_id)
                await self._refuse_debugger(request, message)

    def forget_waiting(self) -> None:
        """Keep nothing of requests that have ended otherwise."""
        self._debugging.clear()
