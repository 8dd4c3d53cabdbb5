"""Progress of a run: a live bar under the cells' output on a terminal, plain lines elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TextIO

from rich.ansi import AnsiDecoder
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from remote_kernel.cli.output.transcript import Transcript
from remote_kernel.cli.run.batch import Display, Job
from remote_kernel.cli.run.execution import code_cells
from remote_kernel.cli.terminal import can_draw, console_for, keeps_colours
from remote_kernel.core.text.terminal_text import clean

INTERRUPTING = "interrupting the cell (Ctrl-C leaves at once)"


def choose_display(jobs: Sequence[Job], stream: TextIO, *, is_quiet: bool) -> Display:
    """Return what suits `stream`; `is_quiet` leaves out everything but bars on a terminal."""
    is_terminal = can_draw(stream)
    if len(jobs) > 1:
        from remote_kernel.cli.output.progress_of_many import PlainBatch, TerminalBatch

        return TerminalBatch(stream, len(jobs)) if is_terminal else PlainBatch(None if is_quiet else stream)
    total = len(code_cells(jobs[0].notebook))
    return TerminalProgress(stream, total) if is_terminal else PlainProgress(None if is_quiet else stream, total)


class Lines:
    """Lines of plain text for a stream, as long as it takes them: somebody reads it, the disk behind it has room."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._keeps_colours = stream is not None and keeps_colours(stream)

    def write(self, lines: Sequence[str]) -> None:
        """Write complete lines, without their colours where nobody wants any."""
        if not lines or self._stream is None:
            return
        try:
            self._stream.write("".join(f"{clean(line, keeps_colours=self._keeps_colours)}\n" for line in lines))
            self._stream.flush()
        except OSError:
            self._stream = None


class PlainProgress(Display):
    """Cells and their output as lines of plain text, for files, pipes and logs.

    When they cannot be written any more it goes on in silence: the run is worth finishing. A stream of `None` takes
    none.
    """

    def __init__(self, stream: TextIO | None, total: int) -> None:
        self._lines = Lines(stream)
        self._total = total
        self._transcript = Transcript()

    def cell_started(self, number: int, source: str) -> None:
        self._lines.write([heading(number, self._total, source)])

    def message_arrived(self, message: Mapping[str, Any]) -> None:
        self._lines.write(self._transcript.feed(message))

    def cell_interrupted(self) -> None:
        self._lines.write([*self._transcript.close(), INTERRUPTING])

    def cell_ended(self) -> None:
        self._lines.write(self._transcript.close())


def heading(number: int, total: int, source: str) -> str:
    """Return the line that announces a cell: its number and how its code starts."""
    first, *rest = source.strip().splitlines()
    return f"[{number}/{total}] {first}{' …' if rest else ''}"


class TerminalProgress(Display):
    """The same above a bar with the number of the cell and the time; a line still being written is above it, too.

    Use it as a context manager: the bar goes when it ends, and when there is an error.
    """

    def __init__(self, stream: TextIO, total: int) -> None:
        self._total = total
        self._console = console_for(stream)
        self._decoder = AnsiDecoder()
        self._transcript = Transcript()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("starting the kernel", total=total)
        self._live = Live(get_renderable=self._render, console=self._console, transient=True, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def cell_started(self, number: int, source: str) -> None:
        self._bar.update(self._task, description=f"cell {number} of {self._total}")
        self._decoder = AnsiDecoder()  # a colour that the cell before has left open is not this one's
        self._console.print(Text(heading(number, self._total, source), style="bold cyan"))

    def message_arrived(self, message: Mapping[str, Any]) -> None:
        self._print(self._transcript.feed(message))

    def cell_interrupted(self) -> None:
        self._bar.update(self._task, description=INTERRUPTING)

    def cell_ended(self) -> None:
        self._print(self._transcript.close())
        self._bar.advance(self._task)

    def _print(self, lines: list[str]) -> None:
        if lines:
            text = Text("\n").join(map(self._decoder.decode_line, lines))
            self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        pending = self._transcript.pending
        bar = self._bar.get_renderable()
        return Group(Text(pending, no_wrap=True, overflow="ellipsis"), bar) if pending else bar
