"""Flame graphs: in which functions a process spends its processor time, `python -m benchmarks.flames`.

py-spy looks many times a second at which functions a process is in while it works. Each function is a box as wide as
its share, below it what it has called. `make flames` installs py-spy and draws docs/flames-*.svg.
"""

import argparse
import html
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants import POOL, Contestant, contestants
from benchmarks.hops import processes_of
from benchmarks.measures import MEASURES

DOCS = Path(__file__).parent.parent / "docs"

RATE = 1000  # a second
SECONDS = 6

# What is drawn, and of which processes.
NAMES = ("cell", "large-comm")
PROCESSES = ("local kernel", "pod agent")

WIDTH, ROW, MARGIN = 1200, 16, 10
# Where a thread waits, which py-spy takes for work as it stops the process to look.
WAITS = ("EpollSelector.select ", "_worker ", "Channels._start_heartbeat", "ForkedProcess._has_ended")

# Narrower boxes, in parts of the whole, cannot be seen.
LEAST = 0.002
CHARACTER = 6.2

# By whose function it is: ours, the event loop's, others'.
COLOURS = {"ours": "#e8a33d", "asyncio": "#8fb3d9", "others": "#c9c9c9"}


@dataclass(slots=True)
class Box:
    """A function below others, and the samples in which it was seen there."""

    name: str
    samples: int = 0
    calls: dict[str, "Box"] = field(default_factory=dict)

    def add(self, stack: Sequence[str], samples: int) -> None:
        """Count samples of a stack, whose first function is called by this one."""
        self.samples += samples
        if stack:
            self.calls.setdefault(stack[0], Box(stack[0])).add(stack[1:], samples)

    @property
    def depth(self) -> int:
        return 1 + max((box.depth for box in self.calls.values()), default=0)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flames", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="MEASURE", help="what to draw (cell, large-comm)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each process (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the pictures (default: docs)")
    options = parser.parse_args(argv)
    with contestants({POOL}) as found:
        for name in options.names:
            for process in PROCESSES:
                path = options.output / f"flames-{name}-{process.replace(' ', '-')}.svg"
                root = parse(_record(found[POOL], name, process, options.seconds))
                path.write_text(draw(root, f"{name}: {process}, {root.samples:,} samples"), encoding="utf-8")
                print(path)
    return 0


def _record(contestant: Contestant, name: str, process: str, seconds: int) -> str:
    """Return what py-spy has seen of a process while one sample was taken after the other."""
    (sample,) = (measure.sample for measure in MEASURES if measure.name == name)
    sample(contestant)  # imports, caches
    pid = processes_of(contestant)[process].pid
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder, "stacks")
        look = ["py-spy", "record", "--pid", f"{pid}", "--format", "raw", "--output", f"{stacks}"]
        rate = ["--rate", f"{RATE}", "--duration", f"{seconds}"]
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with subprocess.Popen(
            [*look, *rate], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PATH": search}
        ) as spy:
            while spy.poll() is None:
                sample(contestant)
            assert spy.stderr is not None
            if spy.returncode:
                raise SystemExit(f"py-spy has failed: {spy.stderr.read().decode().strip()}")
        return stacks.read_text(encoding="utf-8")


def parse(stacks: str) -> Box:
    """Return the tree of functions; a line has those of a stack, the outermost first, and how often it was seen."""
    root = Box("all")
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        functions = [_without_line(each) for each in stack.split(";")]
        if not functions[-1].startswith(WAITS):
            root.add(functions, int(samples))
    return root


def _without_line(function: str) -> str:
    """Return a function without the number of the line that it was at, "name (path/file.py)"."""
    name, found, number = function.rpartition(":")
    return f"{name})" if found and number.rstrip(")").isdigit() else function


def draw(root: Box, title: str) -> str:
    """Return an SVG, the outermost function at the top."""
    height = 2 * MARGIN + ROW * (root.depth + 1)
    font = 'font-family="monospace" font-size="10"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 8}" font-size="12">{html.escape(title)}</text>',
        *_boxes(root, root.samples, MARGIN, MARGIN + ROW),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _boxes(box: Box, all_samples: int, left: float, top: int) -> Iterator[str]:
    share = box.samples / all_samples
    width = share * (WIDTH - 2 * MARGIN)
    room = int(width / CHARACTER)
    label = html.escape(box.name[:room] if room >= 4 else "")
    yield (
        f'<g><title>{html.escape(box.name)}: {share:.1%}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
        f'height="{ROW - 1}" fill="{COLOURS[whose(box.name)]}"/>'
        f'<text x="{left + 2:.1f}" y="{top + 11}">{label}</text></g>'
    )
    for each in sorted(box.calls.values(), key=lambda call: call.name):
        if each.samples >= LEAST * all_samples:
            yield from _boxes(each, all_samples, left, top + ROW)
        left += each.samples / all_samples * (WIDTH - 2 * MARGIN)


def whose(function: str) -> str:
    """Return whose function it is, a name of `COLOURS`."""
    return "ours" if "remote_kernel" in function else "asyncio" if "asyncio" in function else "others"


if __name__ == "__main__":
    sys.exit(main())
