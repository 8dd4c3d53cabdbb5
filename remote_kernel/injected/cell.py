"""Runs one cell in this interpreter, once, and prints in one piece what a kernel would have said meanwhile.

What is remembered is in a module of ours: the name of this interpreter's life, which cells have run and for whom, the
answers of the last ones, which are asked for again when they were lost on their way, and the streams, which logging and
the like keep from one cell to the next.
"""

import base64
import io
import json
import os
import secrets
import sys
import time
import types
import zlib
from collections.abc import Callable
from typing import Any

MEMORY = "_remote_kernel_memory"

# Kernels ask one after another, and each for the answer of one cell only.
MAX_ANSWERS = 4
MAX_CELLS = 10_000
MAX_USERS = 100


def main(argument: dict[str, Any]) -> None:
    """Print length and a part of the answer: base64 of zlib of a JSON object, whose `status` says what has happened."""
    memory = remember()
    if argument["epoch"] not in ("", memory.epoch):
        text = pack({"status": "lost"})
    elif argument["cell"] in memory.cells:
        # Without an answer, it was ended before its end, or others have come between.
        text = memory.answers.get(argument["cell"]) or pack({"status": "unknown"})
    else:
        note(memory.cells, argument["cell"], "", MAX_CELLS)
        memory.users.pop(argument.get("leaver", argument["reader"]), None)
        if "leaver" not in argument:
            note(memory.users, argument["reader"], time.monotonic(), MAX_USERS)
        text = attempt(argument, memory)
        note(memory.answers, argument["cell"], text, MAX_ANSWERS)
    start = argument["start"]
    sys.stdout.write(f"{argument['mark']}({len(text)} {text[start : start + argument['length']]}){argument['mark']}\n")
    sys.stdout.flush()


def remember() -> Any:
    memory: Any = sys.modules.get(MEMORY)
    if memory is None:
        memory = sys.modules[MEMORY] = types.ModuleType(MEMORY)
        memory.epoch, memory.cells, memory.answers = f"plain-{secrets.token_hex(8)}", {}, {}
        memory.users = {}  # who has used it, and when
        memory.streams = Stream("stdout"), Stream("stderr")
    return memory


def note(noted: dict[str, Any], name: str, value: object, most: int) -> None:
    """Add an entry, and forget the oldest of more than `most`."""
    noted[name] = value
    while len(noted) > most:
        del noted[next(iter(noted))]


def attempt(argument: dict[str, Any], memory: Any) -> str:
    """Return the packed answer; a defect, of ours or of what the user has changed in the kernel, has one as well."""
    try:
        return pack(do(argument, memory), argument["max_bytes"], argument["max_packed"])
    except Exception as error:
        return pack_error(type(error).__name__, f"The cell's answer is lost: {error}"[:10_000])


def pack_error(name: str, text: str) -> str:
    content = {"ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
    return pack({"status": "done", "shown": [("error", content)], "content": {"status": "error", **content}})


def pack(answer: dict[str, Any], max_bytes: int = 1 << 20, max_packed: int = 1 << 20) -> str:
    """Return a packed answer, or that it is more than whoever asks takes."""
    data = json.dumps(answer).encode()
    text = base64.b64encode(zlib.compress(data)).decode() if len(data) <= max_bytes else ""
    if text and len(text) <= max_packed:
        return text
    return pack_error("TooMuch", "The cell has run, and shows more than is passed on without an agent.")


def do(argument: dict[str, Any], memory: Any) -> dict[str, Any]:
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if "code" in argument:
        return Cell(shell, memory.streams).run(argument["code"], is_silent=argument["is_silent"])
    if "question" in argument:
        return {"status": "answer", "content": getattr(shell.kernel, argument["question"])(*argument["arguments"])}
    cooldown = os.environ.get("REMOTE_KERNEL_POD_COOLDOWN_SECONDS", "")  # the local pool says it
    others = [time.monotonic() - used_at for used_at in memory.users.values()]
    return {
        "status": "here", "epoch": memory.epoch, "cooldown": cooldown, "others": others,
        "kernel_info": shell.kernel.kernel_info,
    }  # fmt: skip


class Cell:
    """One run, and what it showed: pairs of a message type and its content, in order."""

    def __init__(self, shell: Any, streams: "tuple[Stream, Stream]") -> None:
        self.shell = shell
        self.streams = streams
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def run(self, code: str, *, is_silent: bool) -> dict[str, Any]:
        history, count = self.shell.history_manager, self.shell.execution_count
        # The interpreter takes this program for the cell.
        history.input_hist_parsed[-1] = history.input_hist_raw[-1] = code
        saved = sys.stdout, sys.stderr, sys.displayhook, self.shell.display_pub
        sys.stdout, sys.stderr = self.streams
        for stream in self.streams:
            stream.show = self.show
        sys.displayhook = self.show_result
        self.shell.display_pub = Publisher(self.show_rich)
        self.shell._showtraceback = self.show_error
        try:
            self.shell.run_cell(code, store_history=False, silent=is_silent)
        finally:
            sys.stdout, sys.stderr, sys.displayhook, self.shell.display_pub = saved
            del self.shell._showtraceback
            for stream in self.streams:
                stream.show = drop
        return {"status": "done", "count": count, "shown": self.shown}

    def show(self, msg_type: str, content: dict[str, Any]) -> None:
        last = self.shown[-1] if self.shown else None
        if last and msg_type == last[0] == "stream" and content["name"] == last[1]["name"]:
            last[1]["text"] += content["text"]
        else:
            self.shown.append((msg_type, content))

    def show_rich(self, msg_type: str, content: dict[str, Any]) -> None:
        """Show what a kernel would have sent now; what none could send is the cell's error, as there."""
        session = self.shell.kernel.session
        self.show(msg_type, session.unpack(session.pack(content)))

    def show_result(self, value: object) -> None:
        if value is None:
            return
        if not self.shell.displayhook.quiet():
            data, metadata = self.shell.display_formatter.format(value)
            count = self.shell.execution_count
            self.show_rich("execute_result", {"data": to_json(data), "metadata": metadata, "execution_count": count})
        self.shell.displayhook.update_user_ns(value)

    def show_error(self, kind: type, value: object, trace: list[str]) -> None:
        self.show("error", {"ename": kind.__name__, "evalue": str(value), "traceback": trace})


def to_json(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in data.items()
    }


class Publisher:
    """Stands in for the shell's `display_pub`."""

    is_publishing = False

    def __init__(self, show: Callable[[str, dict[str, Any]], None]) -> None:
        self._show = show

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None, *, transient: dict[str, Any] | None = None,
        update: bool = False, **_: object,
    ) -> None:  # fmt: skip
        content = {"data": to_json(data), "metadata": metadata or {}, "transient": transient or {}}
        self._show("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        self._show("clear_output", {"wait": wait})


def drop(msg_type: str, content: dict[str, Any]) -> None:
    """Show nothing: no cell runs that it could belong to."""


class Stream(io.TextIOBase):
    """Stands in for `sys.stdout` and `sys.stderr`.

    Attributes:
        show: takes what is written; that of the cell that runs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.show: Callable[[str, dict[str, Any]], None] = drop

    def write(self, text: str) -> int:
        if text:
            self.show("stream", {"name": self._name, "text": text})
        return len(text)

    def writable(self) -> bool:
        return True
