"""Words of a command line that is being typed, quoted as in a shell."""

from dataclasses import dataclass

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


def scan(line: str) -> Typed:
    """Return what is typed so far; quotation marks may be open."""
    words: list[str] = []
    start, word, quote, opened, is_within = 0, "", "", "", False
    position = 0
    while position < len(line):
        character = line[position]
        if not is_within and not character.isspace():
            start, word, opened, is_within = position, "", character if character in "'\"" else "", True
        if character == "\\" and quote != "'":
            position += 1
            word += line[position : position + 1]
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote = character
        elif character.isspace():
            if is_within:
                words.append(word)
            is_within = False
        else:
            word += character
        position += 1
    return Typed(tuple(words), start, word, opened) if is_within else Typed(tuple(words), len(line), "", "")


def quoted(word: str, quote: str, *, is_complete: bool) -> str:
    """Return a word as it is to be typed, in the marks that it was begun with; those of a folder stay open."""
    if quote and quote not in word and not (quote == '"' and "\\" in word):
        return quote + word + (quote if is_complete else "")
    keep_tilde = 1 if word.startswith("~/") else 0
    return word[:keep_tilde] + "".join(f"\\{c}" if c in _SPECIAL else c for c in word[keep_tilde:])
