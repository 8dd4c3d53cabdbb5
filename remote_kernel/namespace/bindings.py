"""Bindings: which cell bound a name last, told from the code of the cells."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Magics whose cell or line runs in the notebook's namespace.
_RUNS_ITS_CODE = {"time", "capture", "prun", "memit", "mprun", "lprun", "snakeviz", "scalene"}

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def last_cells(inputs: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Return the number of the last cell that bound each name.

    Args:
        inputs: numbers and codes, in order, with magics as the calls that IPython makes of them.
    """
    cells: dict[str, int] = {}
    for number, code in inputs:
        for name, is_bound in bindings_of(code):
            if is_bound:
                cells[name] = number
            else:
                cells.pop(name, None)
    return cells


def bindings_of(code: str) -> Iterator[tuple[str, bool]]:
    """Yield the names that a cell binds, and with False those that it deletes; of what is no Python, none."""
    tree = _parsed(code)
    if tree is not None:
        yield from _of_scope(tree)


def imported_modules(codes: Iterable[str]) -> set[str]:
    """Return the modules inside packages that `import a.b` has loaded, while it bound `a`."""
    trees = filter(None, map(_parsed, codes))
    imports = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import))
    return {alias.name for node in imports for alias in node.names if "." in alias.name and alias.asname is None}


def _parsed(code: str) -> Any:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _of_scope(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield what is bound in a scope, without the scopes inside it."""
    for child in ast.iter_child_nodes(node):
        yield from _of_node(child)
        if isinstance(child, _COMPREHENSIONS):
            yield from ((walrus.target.id, True) for walrus in ast.walk(child) if isinstance(walrus, ast.NamedExpr))
        elif not isinstance(child, _SCOPES):
            yield from _of_scope(child)
        elif not isinstance(child, ast.Lambda):
            yield from (pair for outer in child.decorator_list for pair in _of_scope(ast.Expression(outer)))


def _of_node(node: ast.AST) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id, isinstance(node.ctx, ast.Store)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, True
        yield from ((name, True) for name in _globals_of(node))
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (((alias.asname or alias.name).partition(".")[0], True) for alias in node.names)
    elif isinstance(node, ast.Call):
        yield from _of_magic(node)
    else:
        # What `match` binds is a text in its patterns.
        names = (getattr(node, field, None) for field in ("name", "rest") if type(node).__name__.startswith("Match"))
        yield from ((name, True) for name in names if isinstance(name, str))


def _globals_of(function: ast.AST) -> Iterator[str]:
    """Yield the names of the notebook that a function binds when it is called, as `global` says."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from node.names


def _of_magic(call: ast.Call) -> Iterator[tuple[str, bool]]:
    """Yield what is bound in the code of `%time x = 1` and its like."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if method not in ("run_cell_magic", "run_line_magic", "magic") or not all(isinstance(each, str) for each in texts):
        return
    name, *rest = texts
    if name in _RUNS_ITS_CODE and rest:
        yield from bindings_of(str(rest[-1]))
        if name == "capture" and len(rest) > 1:
            yield from ((word, True) for word in str(rest[0]).split() if word.isidentifier())
