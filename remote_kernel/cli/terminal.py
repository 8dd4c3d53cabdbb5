"""Safe output of the command to a terminal, a pipe or a file: nothing gets there but text and colours.

What commands print holds texts of pods, pools, notebooks and file names. None of the places that print has to think of
that: `main` puts a `SafeStream` before standard output and standard error, and what rich draws goes through a console
of `console_for`, as rich's own movements of the cursor must pass.
"""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO, cast

from remote_kernel.core.text.terminal_text import clean, escape

if TYPE_CHECKING:
    from rich.console import Console


class _Through(io.TextIOBase):
    """A stream of text before one of the process's own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        """Do nothing: the stream is the process's own."""

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        return self.stream.encoding


class SafeStream(_Through):
    """A stream of text that shows control characters instead of passing them on.

    Each `write` is taken by itself: no sequence is put together from two of them, and no colour outlasts one.

    Args:
        stream: where the text goes.
        keeps_colours: whether colours may pass; they are dropped otherwise.
        can_draw: whether it is a terminal on which the cursor can be moved, as bars need it.
    """

    def __init__(self, stream: TextIO, *, keeps_colours: bool, can_draw: bool = False) -> None:
        super().__init__(stream)
        self.keeps_colours = keeps_colours
        self.can_draw = can_draw

    def write(self, text: str) -> int:
        self.stream.write(escape(text, keeps_colours=self.keeps_colours))
        return len(text)


class LastingStream(_Through):
    """A terminal for as long as there is one: what is written to it after it was closed goes nowhere."""

    def write(self, text: str) -> int:
        with _ignoring_end():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _ignoring_end():
            self.stream.flush()


@contextlib.contextmanager
def _ignoring_end() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@contextlib.contextmanager
def safe_output(environ: Mapping[str, str]) -> Iterator[None]:
    """Put a `SafeStream` before standard output and standard error; `environ` says what the terminal can do."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_safe(stream, environ) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _safe(stream: TextIO | None, environ: Mapping[str, str]) -> TextIO:
    if stream is None:  # closed by whoever has started us
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - as long as the process
    if isinstance(stream, SafeStream):
        return stream
    if isinstance(stream, io.TextIOWrapper):
        encoding = "utf-8" if sys.platform == "win32" else None  # whatever the code page, as for a pipe or a file
        stream.reconfigure(encoding=encoding, errors="backslashreplace")  # an old locale must not end a run
    can_draw = stream.isatty() and environ.get("TERM") != "dumb"
    has_colours = _wants_colours(environ, can_draw=can_draw)
    return cast(TextIO, SafeStream(stream, keeps_colours=has_colours, can_draw=can_draw))


def was_closed(number: str) -> bool:
    """Return whether a standard stream, "0" to "2", was closed by whoever has started us."""
    return {"0": sys.__stdin__, "1": sys.__stdout__, "2": sys.__stderr__}[number] is None


def _wants_colours(environ: Mapping[str, str], *, can_draw: bool) -> bool:
    """Return whether colours are wanted (https://no-color.org, https://force-color.org), else whether they work."""
    if environ.get("NO_COLOR"):
        return False
    if sys.platform == "win32":
        can_draw = can_draw and knows_colours(environ)
    return can_draw or environ.get("FORCE_COLOR", "0") not in {"", "0"}


def knows_colours(environ: Mapping[str, str]) -> bool:
    """Return whether a terminal on Windows is one that obeys ANSI's sequences; the old console shows them."""
    marks = ("WT_SESSION", "TERM", "TERM_PROGRAM", "ANSICON")
    return any(environ.get(name) for name in marks) or environ.get("ConEmuANSI") == "ON"


def can_draw(stream: TextIO) -> bool:
    """Return whether bars can be drawn on a stream of the command."""
    return isinstance(stream, SafeStream) and stream.can_draw


def keeps_colours(stream: TextIO) -> bool:
    """Return whether colours that are written to a stream of the command get through."""
    return isinstance(stream, SafeStream) and stream.keeps_colours


def console_for(stream: TextIO) -> "Console":
    """Return a console of rich that draws on `stream`, past a `SafeStream`: it cleans what it shows itself."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    under = stream.stream if isinstance(stream, SafeStream) else stream
    has_colours = keeps_colours(stream)

    class SafeConsole(Console):
        """Cleans each piece of text that is not rich's own control of the cursor, and lets no link pass."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                if control:
                    yield Segment(text, style, control)
                else:
                    plain = style.update_link(None) if style is not None and style.link else style
                    yield Segment(clean(text), plain if has_colours else None)

    return SafeConsole(file=cast(TextIO, LastingStream(under)), highlight=False, markup=False, emoji=False)
