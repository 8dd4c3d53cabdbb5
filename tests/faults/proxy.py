"""A TCP proxy that misbehaves on request: it cuts, refuses, stalls, delays and throttles what passes through."""

import asyncio
import contextlib
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES = 16 * 1024

# Four megabytes on their way are a long, fast line; more than that holds up whoever sends.
MAX_CHUNKS_ON_THE_WAY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen to one connection.

    Attributes:
        is_refused: close it at once.
        cut_up_after, cut_down_after: close both sides once so many bytes have passed in that direction.
        stall_seconds: at the place of the cut, first let nothing through for so long.
        delay_seconds: how long each byte is on its way, in both directions, as on a long line.
        bytes_per_second: let no more through in each direction.
    """

    is_refused: bool = False
    cut_up_after: int | None = None
    cut_down_after: int | None = None
    stall_seconds: float = 0.0
    delay_seconds: float = 0.0
    bytes_per_second: float = float("inf")


class RandomPlans:
    """Plans by chance, the same ones for the same seed; about a third of the connections is left alone.

    Attributes:
        injected: how many connections were treated in which way.
    """

    def __init__(self, seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self._random = random.Random(seed)

    def __call__(self, _number: int) -> Plan:
        kind = self._random.choice(["clean", "clean", "clean", "refused", "up", "down", "down", "stall", "slow"])
        if kind != "clean":
            self.injected[kind] += 1
        # Mostly within heads and first frames, sometimes deep inside an output.
        place = int(10 ** self._random.uniform(0, 5.5))
        match kind:
            case "refused":
                return Plan(is_refused=True)
            case "up":
                return Plan(cut_up_after=min(place, 3000))
            case "down":
                return Plan(cut_down_after=place)
            case "stall":
                return Plan(cut_down_after=place, stall_seconds=self._random.uniform(0.05, 0.5))
            case "slow":
                return Plan(delay_seconds=self._random.uniform(0.001, 0.02), bytes_per_second=2e6, cut_down_after=place)
            case _:
                return Plan()


class FaultProxy:
    """Listens on a port of its own in front of `port`, both on loopback.

    The plan of each new connection comes from `plan`, called with the connection's number from 0.

    Args:
        certificate: with it, the proxy speaks TLS with its clients.

    Attributes:
        target: the port that new connections lead to.
        passed: how many bytes have passed, "up" and "down".
    """

    def __init__(
        self,
        port: int,
        plan: Callable[[int], Plan] = lambda _number: Plan(),
        certificate: ssl.SSLContext | None = None,
    ) -> None:
        self.plan = plan
        self.passed: Counter[str] = Counter()
        self._certificate = certificate
        self.port = 0
        self.connections = 0
        self.target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_refusing = False
        self._flowing = asyncio.Event()
        self._loop = asyncio.new_event_loop()

    @property
    def has_open(self) -> bool:
        """Return whether any connection is open."""
        return bool(self._writers)

    @classmethod
    @contextmanager
    def before(cls, endpoint: str, certificate: ssl.SSLContext | None = None) -> Iterator["FaultProxy"]:
        """Run a proxy in a thread before an `http://127.0.0.1:PORT`."""
        proxy = cls(int(endpoint.rsplit(":", 1)[1]), certificate=certificate)
        is_ready = threading.Event()
        thread = threading.Thread(target=proxy._run, args=(is_ready,), daemon=True)
        thread.start()
        is_ready.wait()
        try:
            yield proxy
        finally:
            proxy._loop.call_soon_threadsafe(proxy._loop.stop)
            thread.join()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close every connection now."""
        self._call(self._cut())

    def refuse(self, is_refusing: bool) -> None:
        """Close every connection and any new one, or stop doing that."""
        self._is_refusing = is_refusing
        if is_refusing:
            self.cut()

    def stall(self, is_stalling: bool) -> None:
        """Let nothing through, without closing anything, or let it flow again."""
        self._call(self._stall(is_stalling))

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _run(self, is_ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._certificate)
        )
        self._flowing.set()
        self.port = server.sockets[0].getsockname()[1]
        is_ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _stall(self, is_stalling: bool) -> None:
        if is_stalling:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_refusing:
            writer.transport.abort()
            return
        plan = self.plan(self.connections)
        self.connections += 1
        if plan.is_refused:
            writer.transport.abort()
            return
        await asyncio.sleep(2 * plan.delay_seconds)  # a connection is made by a round trip
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pair = {writer, target_writer}
        self._writers |= pair
        # asyncio cannot report the end of a connection whose task was cancelled.
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(
                    self._pump("up", reader, target_writer, plan, plan.cut_up_after, pair),
                    self._pump("down", target_reader, writer, plan, plan.cut_down_after, pair),
                )
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _pump(
        self,
        direction: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        plan: Plan,
        cut_after: int | None,
        pair: set[asyncio.StreamWriter],
    ) -> None:
        """Pass on what comes in one direction; what is on its way does not hold up what comes after it."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=MAX_CHUNKS_ON_THE_WAY)
        reading = asyncio.create_task(self._read(reader, line, plan.delay_seconds))
        passed = 0
        with contextlib.suppress(OSError):
            while data := await self._arrive(line):
                await self._flowing.wait()
                await asyncio.sleep(len(data) / plan.bytes_per_second)
                if cut_after is not None:
                    data = data[: cut_after - passed]
                writer.write(data)
                await writer.drain()
                passed += len(data)
                self.passed[direction] += len(data)
                if passed == cut_after:
                    await asyncio.sleep(plan.stall_seconds)
                    break
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        for each in pair:
            each.close()

    async def _read(
        self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]], delay_seconds: float
    ) -> None:
        data = b"."
        while data:
            try:
                data = await reader.read(CHUNK_BYTES)
            except OSError:
                data = b""
            await line.put((self._loop.time() + delay_seconds, data))

    async def _arrive(self, line: asyncio.Queue[tuple[float, bytes]]) -> bytes:
        """Return the next chunk when its time has come; b"" at the end."""
        due, data = await line.get()
        await asyncio.sleep(due - self._loop.time())
        return data
