"""Words of a command line, whole or being typed, quoted as in a shell; Windows' backslashes escape nothing."""

import shlex
import sys
from dataclasses import dataclass

IS_WINDOWS = sys.platform == "win32"

_WHITESPACE = " \t\r\n"  # and no other character between words, as to `shlex`
_SPECIAL = frozenset(" \t'\"\\|&;<>()$`*?[]#~=%!{}")


@dataclass(frozen=True, slots=True)
class Typed:
    """A line up to the cursor.

    Attributes:
        words: those before the one at the cursor, unquoted.
        start: where the word at the cursor begins in the line.
        word: that word so far, unquoted.
        quote: the quotation mark that it began with, or "".
    """

    words: tuple[str, ...]
    start: int
    word: str
    quote: str


def split(line: str, *, is_windows: bool = IS_WINDOWS) -> list[str]:
    """Return the words of a line; raises `ValueError` where a quotation mark, or a backslash that escapes, is alone."""
    words = shlex.shlex(line, posix=True)
    words.whitespace_split = True
    words.commenters = ""
    if is_windows:
        words.escape = ""
    return list(words)


def scan(line: str, *, is_windows: bool = IS_WINDOWS) -> Typed:
    """Return what is typed so far; quotation marks may be open."""
    words: list[str] = []
    start, word, quote, opened, is_within = 0, "", "", "", False
    position = 0
    while position < len(line):
        character = line[position]
        if not is_within and character not in _WHITESPACE:
            start, word, opened, is_within = position, "", character if character in "'\"" else "", True
        if character == "\\" and quote != "'" and not is_windows:
            position += 1
            following = line[position : position + 1]
            word += following if not quote or following in '"\\' else f"\\{following}"
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote = character
        elif character in _WHITESPACE:
            if is_within:
                words.append(word)
            is_within = False
        else:
            word += character
        position += 1
    return Typed(tuple(words), start, word, opened) if is_within else Typed(tuple(words), len(line), "", "")


def quoted(word: str, quote: str, *, is_complete: bool, is_windows: bool = IS_WINDOWS) -> str:
    """Return a word as it is to be typed, in the marks that it was begun with; those of a folder stay open."""
    if is_windows:
        return _quoted_by_marks(word, quote, is_complete=is_complete)
    if quote and quote not in word and not (quote == '"' and "\\" in word):
        return quote + word + (quote if is_complete else "")
    keep_tilde = 1 if word.startswith("~/") else 0
    return word[:keep_tilde] + "".join(f"\\{c}" if c in _SPECIAL else c for c in word[keep_tilde:])


def _quoted_by_marks(word: str, quote: str, *, is_complete: bool) -> str:
    """Return a word in marks, where it needs some: nothing can be escaped."""
    if not quote and not any(character in f"{_WHITESPACE}'\"" for character in word):
        return word
    mark = next((mark for mark in (quote, '"', "'") if mark and mark not in word), "")
    text = mark + word + mark if mark else shlex.quote(word)
    return text if is_complete else text[:-1]
