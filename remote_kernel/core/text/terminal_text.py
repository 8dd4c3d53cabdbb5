"""Text from outside, made safe for a terminal, a pipe and a log.

A terminal obeys what is written to it: ECMA-48's control sequences set its title and its clipboard, move the cursor,
ask it questions whose answers it types. Only colours (SGR, "Select Graphic Rendition") may pass, and only where the
caller says so. Two ways with the rest: `clean` drops it, for what programs print, as a notebook does; `escape` and
`one_line` show it, for names and messages, in which it has no business.

No function keeps anything between two calls: a sequence that is cut over two of them is not whole in either, so it does
not pass.
"""

import re
from collections.abc import Container, Sequence

# Attributes, and two colours of 24 bits, have 41 characters; what is much longer is none of a program's colours.
_SGR = r"\x1b\[[0-9;:]{0,64}m"

# Embeddings, overrides and isolates of Unicode's bidirectional algorithm: "gpj.exe" can be made to read "exe.jpg".
_BIDI = "\u202a-\u202e\u2066-\u2069"

# Everything in C0 and C1 but the tab and the end of a line.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"

# The one that every text meets; the others are compiled when there is something to do, as a kernel's start is short.
_UNSAFE = re.compile(f"[{_CONTROLS}{_BIDI}]")

# What `clean` takes out whole. The text of an OSC, DCS, SOS, PM or APC ends where its terminator ought to be: one that
# has none must not swallow what comes after its line.
_SEQUENCES = (
    rf"(?P<sgr>{_SGR})"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
    rf"|[{_CONTROLS}{_BIDI}]"
)
_ESCAPED = rf"(?P<sgr>{_SGR})|\r(?=\n)|[{_CONTROLS}{_BIDI}]"
# Halves of surrogate pairs stand for the bytes of a name that is no UTF-8.
_NOT_IN_LINE = f"[\x00-\x1f\x7f-\x9f{_BIDI}\u2028\u2029\ud800-\udfff]"
_RESETS = ("\x1b[0m", "\x1b[m")

PLAIN = "\x1b[0m"

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def clean(text: str, *, keeps_colours: bool = False) -> str:
    """Return what a terminal would show of the text that a program has printed.

    A carriage return begins its line again and a backspace takes a character away; other controls are left out.
    """
    if _UNSAFE.search(text) is None:
        return text
    if "\r" in text or "\b" in text:
        text = "\n".join(map(_erase, text.split("\n")))
    return re.sub(_SEQUENCES, lambda found: (found["sgr"] or "") if keeps_colours else "", text)


def escape(text: str, *, keeps_colours: bool = False) -> str:
    r"""Return the text with each control character shown, as `\x1b`; tabs and ends of lines are left.

    Colours are kept, and end where the text does, or are dropped.
    """
    if _UNSAFE.search(text) is None:
        return text
    text = re.sub(_ESCAPED, lambda found: _show(found, keeps_colours=keeps_colours), text)
    colours = re.findall(_SGR, text)
    return text + PLAIN if colours and colours[-1] not in _RESETS else text


def one_line(text: str) -> str:
    r"""Return a name as one line of text, with each control character shown, ends of lines as `\n`."""
    if text.isprintable():
        return text
    return re.sub(_NOT_IN_LINE, lambda found: _name(found[0]), text)


def shortened(path: str, width: int) -> str:
    """Return the end of a path, which tells files apart, with an ellipsis where it has more than `width` characters."""
    return path if len(path) <= width else "…" + path[len(path) - width + 1 :]


def last_start(line: str) -> int:
    """Return where a line starts whose text is seen; a carriage return at the very end has overwritten nothing yet."""
    return line.rstrip("\r").rfind("\r") + 1


def overwrite(line: str) -> str:
    """Return what is left of a line after its carriage returns."""
    return line[last_start(line) :].rstrip("\r")  # Windows ends its lines with one


def _erase(line: str) -> str:
    """Return what is left of a line after its carriage returns and backspaces, which take no colour away."""
    line = overwrite(line)
    if "\b" not in line:
        return line
    cells = re.findall(rf"{_SGR}|.", line)
    shown: list[int] = []  # the places of those that are no colours
    for place, cell in enumerate(cells):
        if cell == "\b":
            cells[place] = ""
            if shown:
                cells[shown.pop()] = ""
        elif len(cell) == 1:
            shown.append(place)
    return "".join(cells)


def _show(found: re.Match[str], *, keeps_colours: bool) -> str:
    if found["sgr"]:
        return found["sgr"] if keeps_colours else ""
    is_end_of_line = found[0] == "\r" and found.string[found.end() : found.end() + 1] == "\n"
    return "" if is_end_of_line else _name(found[0])


def _name(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def aligned(rows: Sequence[Sequence[str]], *, right: Container[int] = ()) -> list[str]:
    """Return rows as lines whose columns stand below one another; those with the numbers `right` are to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = [">" if number in right else "<" for number in range(len(widths))]
    return ["  ".join(map("{:{}{}}".format, row, signs, widths)).rstrip() for row in rows]
