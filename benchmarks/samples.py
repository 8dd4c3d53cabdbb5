"""One sample of each measure: a number, after a check that nothing is missing.

Every function takes a contestant. Times are in milliseconds, from the call that sends to the message that counts.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import quantiles

from benchmarks.contestants import Contestant
from benchmarks.front_end import FrontEnd, Message, text_of

MB = 1_000_000

# Where a sample is one of many, the front end is the same; these make what the cells below use.
DEFINE_COMM = """
from comm import get_comm_manager
def echo(comm, opened):
    comm.on_msg(lambda message: comm.send(message['content']['data'], buffers=message['buffers']))
get_comm_manager().register_target('echo', echo)
"""
PNG_BYTES = 100_000


class Incomplete(Exception):
    """Something that was said did not arrive, or not as it was said."""


def check(is_whole: bool, what: str) -> None:
    if not is_whole:
        raise Incomplete(what)


def check_text(said: Sequence[Message], expected: str) -> None:
    """Raise `Incomplete` unless exactly this was printed, with the place of the first difference."""
    text = text_of(said)
    if text != expected:
        place = next((i for i, (a, b) in enumerate(zip(text, expected, strict=False)) if a != b), len(text))
        raise Incomplete(f"{len(text):,} of {len(expected):,} characters arrived, the first {place:,} as they should")


def elapsed(since: float) -> float:
    """Return the milliseconds since a time of `perf_counter`."""
    return (time.perf_counter() - since) * 1000


@contextmanager
def _started(contestant: Contestant) -> Iterator[tuple[FrontEnd, float]]:
    contestant.prepare()
    began = time.perf_counter()
    front_end = contestant.start()
    try:
        yield front_end, began
    finally:
        front_end.close()


def start_to_info(contestant: Contestant) -> float:
    with _started(contestant) as (front_end, began):
        msg_id = front_end.send("shell", "kernel_info_request", {})
        for channel, message in front_end.messages():
            if channel == "shell" and message["parent_header"].get("msg_id") == msg_id:
                return elapsed(began)
    raise AssertionError


def start_to_result(contestant: Contestant) -> float:
    with _started(contestant) as (front_end, began):
        front_end.wait_ready()
        said = front_end.run("6 * 7")
        took = elapsed(began)
    results = [message["content"]["data"]["text/plain"] for message in said if message["msg_type"] == "execute_result"]
    check(results == ["42"], f"results {results}")
    return took


def cell(contestant: Contestant) -> float:
    began = time.perf_counter()
    contestant.front_end.run("pass")
    return elapsed(began)


def first_output(contestant: Contestant) -> float:
    arrived: list[float] = []

    def look(_channel: str, message: Message) -> None:
        if message["msg_type"] == "stream" and not arrived:
            arrived.append(time.perf_counter())

    began = time.perf_counter()
    said = contestant.front_end.run("import time\nprint('now', flush=True)\ntime.sleep(0.2)\nprint('then')", look)
    check_text(said, "now\nthen\n")
    return (arrived[0] - began) * 1000


def inspection(contestant: Contestant) -> float:
    began = time.perf_counter()
    content = {"code": "print", "cursor_pos": 5, "detail_level": 0}
    found: list[Message] = []
    front_end = contestant.front_end
    msg_id = front_end.send("shell", "inspect_request", content)
    front_end.finish(msg_id, lambda channel, message: found.append(message) if channel == "shell" else None)
    took = elapsed(began)
    check(found[0]["content"]["found"] is True, "the inspection found nothing")
    return took


def typed_input(contestant: Contestant) -> float:
    front_end = contestant.front_end

    def answer(channel: str, _message: Message) -> None:
        if channel == "stdin":
            front_end.send("stdin", "input_reply", {"value": "typed"})

    began = time.perf_counter()
    said = front_end.finish(front_end.execute("print(input())", allow_stdin=True), answer)
    took = elapsed(began)
    check_text(said, "typed\n")
    return took


def comm_echo(size: int = 0) -> Callable[[Contestant], float]:
    """Return the sample of a comm message with a buffer of so many bytes, there and back."""
    buffers = [bytes(size)] if size else []

    def sample(contestant: Contestant) -> float:
        front_end = contestant.front_end
        comm_id = _open_comm(front_end)
        began = time.perf_counter()
        msg_id = front_end.send("shell", "comm_msg", {"comm_id": comm_id, "data": {"n": 1}}, buffers)
        for _, message in front_end.messages():
            if message["msg_type"] == "comm_msg" and message["parent_header"].get("msg_id") == msg_id:
                took = elapsed(began)
                check([bytes(buffer) for buffer in message["buffers"]] == buffers, "the buffer is not what was sent")
                return took
        raise AssertionError

    return sample


def _open_comm(front_end: FrontEnd) -> str:
    comm_id = f"bench-{id(front_end)}-{time.monotonic_ns()}"
    front_end.run(DEFINE_COMM)
    front_end.send("shell", "comm_open", {"comm_id": comm_id, "target_name": "echo", "data": {}})
    front_end.run("pass")
    return comm_id


def interrupt_of(code: str) -> Callable[[Contestant], float]:
    """Return the sample of an interrupt of this code, which must never end by itself."""

    def sample(contestant: Contestant) -> float:
        front_end = contestant.front_end
        msg_id = front_end.execute(f"print('begun', flush=True)\n{code}")
        began = 0.0
        for channel, message in front_end.messages():
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "stream":
                time.sleep(0.05)  # let it be well inside the code
                began = time.perf_counter()
                front_end.interrupt()
            elif channel == "shell":
                took = elapsed(began)
                check(message["content"]["ename"] == "KeyboardInterrupt", str(message["content"]))
                front_end.settle()
                return took
        raise AssertionError

    return sample


def printed(line: int, count: int, *, flush: bool) -> Callable[[Contestant], float]:
    """Return the sample of `count` lines of `line` bytes, in MB/s."""

    def sample(contestant: Contestant) -> float:
        code = f"line = 'x' * {line - 1}\nfor _ in range({count}): print(line, flush={flush})"
        began = time.perf_counter()
        said = contestant.front_end.run(code)
        seconds = elapsed(began) / 1000
        check_text(said, ("x" * (line - 1) + "\n") * count)
        return line * count / MB / seconds

    return sample


def flushed_prints(count: int) -> Callable[[Contestant], float]:
    """Return the sample of so many small flushed prints, in prints a second."""

    def sample(contestant: Contestant) -> float:
        began = time.perf_counter()
        said = contestant.front_end.run(f"for i in range({count}): print(i, flush=True)")
        seconds = elapsed(began) / 1000
        check_text(said, "".join(f"{i}\n" for i in range(count)))
        return count / seconds

    return sample


def displayed_text(size: int) -> Callable[[Contestant], float]:
    """Return the sample of one display of so many characters."""

    def sample(contestant: Contestant) -> float:
        began = time.perf_counter()
        said = contestant.front_end.run(f"display({{'text/plain': 'x' * {size}}}, raw=True)")
        took = elapsed(began)
        sizes = [len(m["content"]["data"]["text/plain"]) for m in said if m["msg_type"] == "display_data"]
        check(sizes == [size], "the text is missing")
        return took

    return sample


def displayed(count: int, size: int) -> Callable[[Contestant], float]:
    """Return the sample of so many pictures of `size` bytes each."""

    def sample(contestant: Contestant) -> float:
        data = "{'image/png': b64encode(bytes(" + str(size) + ")).decode()}"
        code = f"from base64 import b64encode\nfor _ in range({count}): display({data}, raw=True)"
        began = time.perf_counter()
        said = contestant.front_end.run(code)
        took = elapsed(began)
        sizes = [len(m["content"]["data"]["image/png"]) for m in said if m["msg_type"] == "display_data"]
        check(sizes == [(size + 2) // 3 * 4] * count, "pictures are missing")
        return took

    return sample


def idle_memory(contestant: Contestant) -> float:
    """Return the resident memory, in MB, of a kernel's process that has run one cell."""
    front_end = contestant.start_ready()
    try:
        return float(front_end.process.memory_info().rss / MB)
    finally:
        front_end.close()


def memory_after_output(contestant: Contestant) -> float:
    """Return the resident memory, in MB, of a kernel's process after a cell that printed 50 MB."""
    front_end = contestant.start_ready()
    try:
        said = front_end.run("for _ in range(50): print('x' * 999_999, flush=True)")
        check_text(said, ("x" * (MB - 1) + "\n") * 50)
        return float(front_end.process.memory_info().rss / MB)
    finally:
        front_end.close()


def completion_beside(code: str) -> Callable[[Contestant], float]:
    """Return the sample of completions while `code` runs in another kernel: the slowest of twenty (p95)."""

    def sample(contestant: Contestant) -> float:
        front_end = contestant.front_end
        with contestant.second() as other, ThreadPoolExecutor(1) as threads:
            running = threads.submit(other.run, code)
            took = [_complete(front_end) for _ in iter(running.done, True)]
            check(bool(text_of(running.result())), "the other kernel has said nothing")
        check(bool(took), "the other kernel's cell was over too soon")
        return quantiles(took, n=20)[-1] if len(took) > 1 else took[0]

    return sample


def _complete(front_end: FrontEnd) -> float:
    began = time.perf_counter()
    found: list[Message] = []
    msg_id = front_end.send("shell", "complete_request", {"code": "prin", "cursor_pos": 4})
    front_end.finish(msg_id, lambda channel, message: found.append(message) if channel == "shell" else None)
    took = elapsed(began)
    check("print" in found[0]["content"]["matches"], "the completion found nothing")
    return took


def started_together(kernels: int) -> Callable[[Contestant], float]:
    """Return the sample of so many kernels that start at the same time, to the first cell of the last, in seconds."""

    def sample(contestant: Contestant) -> float:
        contestant.prepare()
        began = time.perf_counter()
        with _several(kernels, contestant.start) as front_ends:
            _at_once(front_ends, _first_cell)
            return elapsed(began) / 1000

    return sample


@contextmanager
def _several(count: int, start: Callable[[], FrontEnd]) -> Iterator[list[FrontEnd]]:
    front_ends = [start() for _ in range(count)]
    try:
        yield front_ends
    finally:
        for front_end in front_ends:
            front_end.close()


def _first_cell(front_end: FrontEnd) -> bool:
    front_end.wait_ready()
    return text_of(front_end.run("print(6 * 7)")) == "42\n"


def together(kernels: int, cells: int) -> Callable[[Contestant], float]:
    """Return the sample of so many kernels that run so many cells each at the same time, in seconds."""

    def run(front_end: FrontEnd) -> bool:
        return all(text_of(front_end.run(f"print({number})")) == f"{number}\n" for number in range(cells))

    def sample(contestant: Contestant) -> float:
        with _several(kernels, contestant.start_ready) as front_ends:
            began = time.perf_counter()
            _at_once(front_ends, run)
            return elapsed(began) / 1000

    return sample


def _at_once(front_ends: Sequence[FrontEnd], work: Callable[[FrontEnd], bool]) -> None:
    """Do the work at all of them, each in a thread; it returns whether all has arrived."""
    with ThreadPoolExecutor(len(front_ends)) as threads:
        check(all(threads.map(work, front_ends)), "a cell's output is missing")
