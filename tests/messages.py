"""Writes tests/messages.txt: all sentences that a user can get, for a change of words to be seen in review.

Run it as `python -m tests.messages`; a test says when that is to be done again.

They are found in the code: every text that reads as words, wherever it stands, but for what nobody gets to see, which
is docstrings and patterns. Events of the log count, as `remote-kernel logs` shows them. What a sentence is put together
from at run time stands in braces.
"""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "remote_kernel"
FOR_READERS = {PACKAGE / "core" / "limits.py"}  # the reasons of its bounds
FILE = Path(__file__).with_suffix(".txt")

HEAD = """\
All sentences that a user can get, by the file that they stand in, where {…} is what is put in at run time.
Not to be edited: `python -m tests.messages` writes it, and a test compares it with the code.
"""

# A word beside another one, or beside what is put in, and nothing that only code has.
_WORDS = re.compile(r"[a-z]{2,}[\"'),:;.…]*\s+\S|\S\s+[\"'(]*[A-Za-z][a-z]{2,}")
_CODE = re.compile(
    r"^\s*(<\w|\$|[{}\]]|\[(?!\w+('s)? [a-z])|import |from [\w.]+ import |def |SELECT )"
    r"|[=({]\s*\n|</|;\s*$|\(\?|--jp-|\d+px",
    re.MULTILINE,
)

# Of these calls nobody but a library or the interpreter sees the texts.
_UNSEEN = {"compile", "sub", "findall", "finditer", "fullmatch", "match", "search", "getLogger", "NewType",
           "TypeVar", "cast", "noqa"}  # fmt: skip


def page() -> str:
    """Return the file's text."""
    sections = [HEAD]
    for path in sorted(PACKAGE.rglob("*")):
        texts = sorted({" ".join(text.split()) for text in _texts(path)})
        if texts:
            sections.append("\n".join([f"{path.relative_to(ROOT)}", *(f"    {text}" for text in texts), ""]))
    return "\n".join(sections)


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".py" and path not in FOR_READERS:
        yield from sentences(ast.parse(path.read_text(encoding="utf-8")))
    elif path.suffix == ".html":
        yield from _shown(path.read_text(encoding="utf-8"))


def sentences(module: ast.Module) -> list[str]:
    """Return the texts of a module that a user may get to see."""
    return list(filter(_is_sentence, _literals(module)))


def _is_sentence(text: str) -> bool:
    without_fields = re.sub(r"\{[^{}]*(\{[^{}]*\}[^{}]*)*\}", "X", text)
    return bool(_WORDS.search(without_fields)) and not _CODE.search(without_fields)


def _literals(node: ast.AST) -> Iterator[str]:
    """Yield the texts below a node, with the fields of f-strings in braces."""
    if isinstance(node, ast.Call) and _name(node.func) in _UNSEEN:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_part(part) for part in node.values)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _literals(part.value)
    else:
        for child in ast.iter_child_nodes(node):
            is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            is_type = child in (getattr(node, "annotation", None), getattr(node, "returns", None))
            if not is_docstring and not is_type:
                yield from _literals(child)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    # How f-strings in f-strings are written depends on Python's version.
    is_nested = any(isinstance(each, ast.JoinedStr) for each in ast.walk(part.value))
    return "{…}" if is_nested else f"{{{ast.unparse(part.value)}}}"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _shown(html: str) -> Iterator[str]:
    texts: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            texts.extend(value for name, value in attrs if name in {"title", "aria-label", "placeholder"} and value)

        def handle_data(self, data: str) -> None:
            texts.append(data)

    Parser().feed(html)
    yield from (text for text in texts if re.search(r"[A-Za-z]{2}", text))


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
