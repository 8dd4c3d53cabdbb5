"""One cell's way through the hops, measured: `python -m benchmarks.timeline` draws docs/timeline.svg.

A cell that prints is run many times. In every process the functions of `benchmarks.passages` note when the request
passes on its way up, and what it printed on its way down; the picture shows the median of each step.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks import passages
from benchmarks.contestants import private_home, start_remote
from benchmarks.front_end import FrontEnd, text_of
from tests.driver import Pool

DOCS = Path(__file__).parent.parent / "docs"
CELLS = 300

FRONT_END, KERNEL, POOL, AGENT, INTERPRETER = "front end", "local kernel", "pool", "pod agent", "interpreter"
LANES = (FRONT_END, KERNEL, POOL, AGENT, INTERPRETER)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a message is: in which process, and at which of its functions ("" for the front end's own clock)."""

    lane: str
    point: str
    message: str


def _up(lane: str, point: str) -> Step:
    return Step(lane, point, "execute_request")


def _down(lane: str, point: str) -> Step:
    return Step(lane, point, "stream")


# Two of each process: the message arrives, the message leaves. The interpreter is what lies between two of the agent.
STEPS = (
    _up(FRONT_END, ""),
    _up(KERNEL, "Relay.handle"),
    _up(KERNEL, "Connection.request"),
    _up(POOL, "ServerProtocol.data_received"),
    _up(POOL, "Connection.request"),
    _up(AGENT, "ServerProtocol.data_received"),
    _up(AGENT, "ZmqSocket.send"),
    _down(AGENT, "PodKernel._receive"),
    _down(AGENT, "OneWriteTransport.write"),
    _down(POOL, "Connection.data_received"),
    _down(POOL, "OneWriteTransport.write"),
    _down(KERNEL, "Connection.data_received"),
    _down(KERNEL, "ZmqSocket.send"),
    _down(FRONT_END, ""),
)

# By lane and point: message types and times (ns), in order.
SessionNotices = dict[tuple[str, str], list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a message was in a process, in milliseconds since the front end sent the request."""

    lane: str
    begin: float
    end: float


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline", description=__doc__)
    parser.add_argument("--cells", type=int, default=CELLS, help="how many to run (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=DOCS / "timeline.svg", help="default: %(default)s")
    options = parser.parse_args(argv)
    stays = stays_of(measure(options.cells))
    for stay in stays:
        print(f"{stay.lane:13s} {stay.begin:6.2f} to {stay.end:6.2f} ms")
    draw(stays, options.output)
    return 0


def measure(cells: int) -> list[list[int]]:
    """Run so many cells; return the times (ns) of `STEPS` in each of them that was seen everywhere."""
    with private_home(), _noted() as folder:
        windows, lanes = _run(cells)
        notes = _read(folder, lanes)
    return [found for sent, heard in windows if (found := follow(notes, sent, heard)) is not None]


@contextmanager
def _noted() -> Iterator[Path]:
    """Have every Python that starts note its passages in a folder."""
    with tempfile.TemporaryDirectory(prefix="rk-notes-") as name:
        folder = Path(name)
        shutil.copy(passages.__file__, folder / "sitecustomize.py")
        os.environ["PYTHONPATH"] = os.pathsep.join([name, *filter(None, [os.environ.get("PYTHONPATH")])])
        yield folder


def _run(cells: int) -> tuple[list[tuple[int, int]], dict[int, str]]:
    """Return when each cell was sent and heard of (ns), and which process is what."""
    with Pool.start("--max-sessions", "2", "--ready", "1") as pool:
        front_end = start_remote(pool.endpoint, pool.token)
        front_end.wait_ready()
        front_end.run("pass")
        lanes = {front_end.process.pid: KERNEL, pool.process.pid: POOL, pool.sessions()[0]["pid"]: AGENT}
        try:
            return [_time_cell(front_end) for _ in range(cells)], lanes
        finally:
            front_end.close()


def _time_cell(front_end: FrontEnd) -> tuple[int, int]:
    heard: list[int] = []
    sent = time.monotonic_ns()
    said = front_end.run(
        "print(6 * 7)",
        lambda _, message: heard.append(time.monotonic_ns()) if message["msg_type"] == "stream" else None,
    )
    assert text_of(said) == "42\n"
    return sent, heard[0]


def _read(folder: Path, lanes: dict[int, str]) -> SessionNotices:
    notes: SessionNotices = {}
    for path in folder.glob("*.jsonl"):
        lane = lanes.get(int(path.stem), "")
        for line in path.read_text(encoding="utf-8").splitlines():
            point, message, at = json.loads(line)
            notes.setdefault((lane, point), []).append((message, at))
    return notes


def follow(notes: SessionNotices, sent: int, heard: int) -> list[int] | None:
    """Return when the steps of one cell were taken, each the first after the one before; `None` if one is missing."""
    times = [sent]
    for step in STEPS[1:-1]:
        later = (
            at for message, at in notes.get((step.lane, step.point), []) if message == step.message and at >= times[-1]
        )
        times.append(next(later, heard + 1))
    times.append(heard)
    return times if times == sorted(times) else None


def stays_of(cells: Sequence[Sequence[int]]) -> list[Stay]:
    """Return where the message was in the median cell; each step's duration is a median of its own."""
    steps = [median(after - before for before, after in zip(*pair, strict=True)) / 1e6 for pair in _pairs(cells)]
    at = [sum(steps[:number]) for number in range(len(steps) + 1)]
    lanes = [step.lane for step in STEPS]
    inside = [Stay(lanes[i], at[i], at[i + 1]) for i in range(1, len(STEPS) - 1, 2)]
    middle = len(inside) // 2
    interpreter = Stay(INTERPRETER, inside[middle - 1].end, inside[middle].begin)
    ends = Stay(FRONT_END, 0.0, 0.0), Stay(FRONT_END, at[-1], at[-1])
    return [ends[0], *inside[:middle], interpreter, *inside[middle:], ends[1]]


def _pairs(cells: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the times of each step, and of the one behind it, in every cell."""
    for number in range(len(STEPS) - 1):
        yield [cell[number] for cell in cells], [cell[number + 1] for cell in cells]


def draw(stays: Sequence[Stay], path: Path) -> None:
    """Write the SVG: a lane for each process, a bar for each stay, a line for each way between two processes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "remote-session-kernel"
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    rows = {lane: -number for number, lane in enumerate(LANES)}
    for before, after in pairwise(stays):
        axes.plot([before.end, after.begin], [rows[before.lane], rows[after.lane]], color="grey", linewidth=1)
    for stay in stays:
        colour = "tab:orange" if stay.lane == INTERPRETER else "tab:blue"
        axes.barh(rows[stay.lane], max(stay.end - stay.begin, 0.02), left=stay.begin, height=0.5, color=colour)
        axes.annotate(_label(stay), ((stay.begin + stay.end) / 2, rows[stay.lane] + 0.3), ha="center", fontsize=7)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(min(rows.values()) - 0.5, 0.8)
    axes.set_xlabel("milliseconds since the front end sent the cell print(6 * 7); numbers: time spent in a process")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _label(stay: Stay) -> str:
    return f"{stay.end - stay.begin:.2f}" if stay.end > stay.begin else f"{stay.end:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
