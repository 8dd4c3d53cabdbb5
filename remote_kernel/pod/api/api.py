"""Requests of wire version 2 and a pod's answers, whatever way a request has come."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.jupyter import debugger_files
from remote_kernel.core.jupyter.messages import is_unicode
from remote_kernel.core.pools.pod_facts import PodFacts
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.compression import INLINE_BYTES
from remote_kernel.core.wire.launch import LAUNCH_PATH, Launch
from remote_kernel.io.watchdog import Watchdog
from remote_kernel.pod import facts
from remote_kernel.pod.api.calls import MAX_BODY_BYTES, Answer, BadRequest, BodyTooLarge, Call, Handler
from remote_kernel.pod.api.execute import MAX_BATCH_BYTES, stream_execution
from remote_kernel.pod.api.files import Files
from remote_kernel.pod.api.packages import PackageRequests
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.api.saves import SaveRequests
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.registry import PodLeaving
from remote_kernel.pod.readers.claims import judge

# So much is handed over at a time, and goes out in as few writes as the system takes it in.
MAX_PIECE_BYTES = 2 * MAX_BATCH_BYTES


class Api:
    """The requests that one pod understands.

    Attributes:
        handlers: by method and path, for `answer`.
    """

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        noted: dict[tuple[str, str], Handler] = {
            ("POST", wire.EXECUTE_PATH): self._execute,
            ("POST", wire.MESSAGES_PATH): self._messages,
            ("GET", wire.EVENTS_PATH): self._events,
            ("POST", wire.RELEASE_PATH): self._release,
            ("PUT", LAUNCH_PATH): self._launch,
            **Files(pod.folder, pod.name).handlers,
            **PackageRequests(pod.registry, pod.folder, pod.name).handlers,
            **SaveRequests(pod.registry, pod.folder, pod.name).handlers,
        }
        self.handlers: dict[tuple[str, str], Handler] = {
            ("GET", wire.SESSION_PATH): self._session,
            **{route: self._noted(handler) for route, handler in noted.items()},
        }

    def _noted(self, handler: Handler) -> Handler:
        async def handle(call: Call) -> Answer:
            self._check_not_stopping()
            self._pod.note_call()
            return await handler(call)

        return handle

    def _check_not_stopping(self) -> None:
        if self._pod.is_stopping:
            raise PodLeaving("The pod is being stopped: ask again, for another.")

    async def _session(self, call: Call) -> Answer:
        self._check_not_stopping()
        kernels = [_describe(kernel) for kernel in self._pod.registry.kernels]
        idle_seconds = round(self._pod.clock() - self._pod.last_call, 3) if self._pod.last_call else None
        if call.params.get(wire.LOOK_PARAM) != "1":
            self._pod.note_call()
        more = {"facts": (await self._facts(call)).to_json()} if call.params.get("facts") == "1" else {}
        return Answer.of_json(
            {
                "pod": self._pod.name,
                "cooldown_seconds": self._pod.cooldown_seconds,
                "idle_seconds": idle_seconds,
                "kernels": kernels,
                **more,
            }
        )

    async def _facts(self, call: Call) -> PodFacts:
        name, _ = call.kernel()
        kernels = self._pod.registry.kernels
        kernel = next((kernel for kernel in kernels if kernel.name == name), None)
        return await asyncio.to_thread(
            facts.describe,
            self._pod.name,
            kernels=len(kernels),
            age_seconds=time.monotonic() - kernel.started if kernel else 0.0,
            pid=kernel.lifecycle.current.pid if kernel and kernel.lifecycle.current else None,
        )

    async def _execute(self, call: Call) -> Answer:
        code = _parse_code(await call.read_body())
        kernel = self._pod.registry.get_or_create(*call.kernel())
        kernel.readers.claims.note(call.reader(), time.monotonic())
        await (
            kernel.lifecycle.interpreter()
        )  # before the status line is sent, so that its failure has a status of its own
        lines = stream_execution(kernel, code, lambda: self._pod.is_stopping)
        return Answer(body=lines, media_type=wire.NDJSON_MEDIA_TYPE)

    async def _messages(self, call: Call) -> Answer:
        name, _ = call.kernel()
        epoch, sender = call.required("epoch"), call.required("sender")
        frames = await _decode(await call.read_body())
        messages = [frame for frame in frames if isinstance(frame, wire.Message)]
        if len(messages) < len(frames) or any(message.channel is wire.Channel.IOPUB for message in messages):
            raise WireError("only messages for a kernel may be sent here")
        kernel = self._pod.registry.get(name, epoch)
        kernel.readers.claims.note(call.reader(), time.monotonic())
        wakeup = kernel.readers.wakeups.next
        accepted = await kernel.accept(messages, sender=sender, epoch=epoch)
        if accepted:
            kernel.readers.wakeups.tell_soon()
            await wakeup.wait()  # the answer travels with what the kernel says to it
        self._pod.registry.remove_closed()
        return Answer.of_json({"accepted": accepted, "kernels": len(self._pod.registry.kernels), "epoch": kernel.epoch})

    async def _events(self, call: Call) -> Answer:
        name, kernelspec = call.kernel()
        folder = call.params.get(wire.WORKSPACE_PARAM, "")
        workspace = self._pod.folder.resolve(folder) if folder else None
        self._pod.registry.stay_for(call.reader())
        after: int | None = None
        if epoch := call.params.get("epoch", ""):
            kernel = self._pod.registry.get(name, epoch)
            after = call.number("after")
        else:
            kernel = self._pod.registry.get_or_create(name, kernelspec)
        # Who does not say who it is counts as somebody else each time.
        reader = call.reader() or secrets.token_hex(8)
        kernel.readers.claims.note(reader, time.monotonic())
        if workspace is None:
            kernel.workspace.leave(reader)
        else:
            await asyncio.gather(kernel.lifecycle.interpreter(), kernel.workspace.follow(reader, folder, workspace))
        interpreter = await kernel.lifecycle.interpreter()
        # Nothing is waited for from here on, so that what is said of the epoch is true of one moment.
        cursor = kernel.journal.last_sequence if after is None else after
        kernel.readers.claims.note(reader, time.monotonic())  # the start may have taken long
        hello = wire.Hello(
            epoch=kernel.epoch,
            cursor=cursor,
            cooldown_seconds=self._pod.cooldown_seconds,
            pod=self._pod.name,
            is_busy=kernel.is_busy,
            kernel_info=interpreter.kernel_info,
            takes_compressed=True,
            cell_files=debugger_files.PREFIX if interpreter.cell_files.folder else "",
            last=kernel.journal.last_sequence,
            launch=kernel.launch,
            is_untouched=kernel.is_untouched,
        )
        compresses = call.params.get(wire.COMPRESS_PARAM) == wire.COMPRESS_ZLIB
        passed_on = _Position(cursor)
        return Answer(
            body=_stream_events(self._pod, kernel, hello, reader, passed_on, compresses=compresses),
            media_type=wire.FRAME_MEDIA_TYPE,
            headers={"cache-control": "no-store"},
            is_busy=lambda: kernel.has_more_to_say(passed_on.cursor),
        )

    async def _launch(self, call: Call) -> Answer:
        """Keep launch options with the kernel, which is there from then on."""
        launch = Launch.from_bytes(await call.read_body())
        find = partial(Launching.of, launch, self._pod.folder)
        # No thread where no folder is named: a new session's first request would wait until there is one.
        launching = await asyncio.to_thread(find) if launch.cwd or launch.workspace else find()
        reader = call.reader()
        self._pod.registry.stay_for(reader)
        kernel = self._pod.registry.get_or_create(*call.kernel())
        kernel.readers.claims.note(reader, time.monotonic())
        kernel.ask_launch(launching, reader)
        return Answer.of_json({"launch": kernel.launch})

    async def _release(self, call: Call) -> Answer:
        """End what nobody else uses: decided and noted at once, so that nobody can come in between."""
        registry, reader = self._pod.registry, call.reader()
        name, _ = call.kernel()
        kernels = {kernel.name: kernel for kernel in registry.kernels}
        verdict = judge(
            [kernel.use_beside(reader) for kernel in kernels.values()],
            kernel=name,
            epoch=call.params.get("epoch", ""),
            is_order=call.params.get("order", "") == "1",
        )
        if verdict.ends_pod:
            registry.leave(reader)
        if name in kernels:
            await kernels[name].give_up(reader, ends=verdict.ends_kernel)
        registry.remove_closed()
        return Answer.of_json({"stops": verdict.ends_pod, "others": verdict.others, "kernels": verdict.kernels})


def _describe(kernel: PodKernel) -> dict[str, object]:
    return {
        "name": kernel.name,
        "kernelspec": kernel.kernelspec,
        "epoch": kernel.epoch,
        "cursor": kernel.journal.last_sequence,
        "is_busy": kernel.is_busy,
    }


async def _decode(body: bytes) -> list[wire.Frame]:
    """Return the frames of a request's body; what was compressed counts as what it was."""
    decode = partial(codec.decode_all, body, max_unpacked_bytes=MAX_BODY_BYTES)
    is_long = len(body) > INLINE_BYTES and codec.is_compressed(body)
    try:
        return await asyncio.to_thread(decode) if is_long else decode()
    except Oversized:
        raise BodyTooLarge from None


@dataclass(slots=True)
class _Position:
    """Position in a journal up to which a stream has passed everything on."""

    cursor: int


async def _stream_events(
    pod: Pod, kernel: PodKernel, hello: wire.Hello, reader: str, passed_on: _Position, *, compresses: bool
) -> AsyncIterator[bytes | memoryview]:
    """Yield what the journal has after the cursor, and what it gets, until it is time for another request."""
    ends_at = pod.clock() + pod.max_stream_seconds
    cursor, peers = hello.cursor, 0
    is_silent = False

    def note_silence() -> None:
        nonlocal is_silent
        is_silent = True
        kernel.readers.wakeups.tell()

    yield codec.encode(hello)
    with kernel.readers.reading(reader) as took, closing(Watchdog(note_silence)) as watchdog:
        watchdog.feed(pod.keepalive_seconds)
        while True:
            wakeup = kernel.readers.wakeups.next
            if kernel.readers.claims.peers_of(reader) != peers:
                peers = kernel.readers.claims.peers_of(reader)
                yield codec.encode(wire.Peers(count=peers))
            batch = kernel.journal.read(cursor, MAX_BATCH_BYTES)
            if batch.entries or batch.gap:
                cursor = batch.cursor
                pieces = [*([codec.encode(batch.gap)] if batch.gap else []), *batch.entries]
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                if len(data) <= MAX_BATCH_BYTES and not compresses:
                    yield data
                else:
                    sent: Iterator[bytes | memoryview] = codec.compressed(data) if compresses else _in_pieces(data)
                    is_long = compresses and len(data) > INLINE_BYTES
                    while piece := await _next(sent, is_long):
                        yield piece  # comes back when the connection has room for more
                took(batch)
                passed_on.cursor = cursor
                watchdog.feed(pod.keepalive_seconds)
                if wakeup.is_told or cursor < kernel.journal.last_sequence:
                    continue
            if reason := _reason_to_end(pod, kernel, ends_at):
                yield codec.encode(wire.End(reason=reason))
                return
            if is_silent:
                is_silent = False
                yield codec.encode(wire.Keepalive())
                watchdog.feed(pod.keepalive_seconds)
            else:
                await wakeup.wait()  # which also ends for others than this reader


def _in_pieces(data: bytes) -> Iterator[bytes | memoryview]:
    """Yield a very large message in parts, without copying any: some who take them gather a few (`pod.api.batches`)."""
    if len(data) <= MAX_PIECE_BYTES:
        return iter((data,))
    view = memoryview(data)
    return (view[start : start + MAX_PIECE_BYTES] for start in range(0, len(view), MAX_PIECE_BYTES))


async def _next(pieces: Iterator[bytes | memoryview], is_long: bool) -> bytes | memoryview:
    """Return the next piece, b"" behind the last one; what takes long keeps nobody else waiting."""
    return await asyncio.to_thread(next, pieces, b"") if is_long else next(pieces, b"")


def _reason_to_end(pod: Pod, kernel: PodKernel, ends_at: float) -> str:
    if pod.is_stopping:
        return "stopping"
    if kernel.lives.is_closed:
        return "closed"
    return "cap" if pod.clock() >= ends_at else ""


def _parse_code(body: bytes) -> str:
    try:
        code = json.loads(body)["code"]
    except (ValueError, RecursionError, TypeError, KeyError):
        code = None
    if not isinstance(code, str) or not is_unicode(code):
        raise BadRequest('The body is not JSON of the form {"code": "…"}.')
    return code
