"""`remote-kernel saves`: which saves of variables are on this machine; `--delete` removes one."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from remote_kernel.core.errors import UsageError
from remote_kernel.core.text.human_numbers import count_of, format_bytes
from remote_kernel.core.text.human_times import format_moment
from remote_kernel.core.text.terminal_text import PLAIN, aligned, one_line

if TYPE_CHECKING:
    from remote_kernel.cli.saves.save_list import Row, SaveList

DESCRIPTION = """\
List the saves of your notebooks' variables that are on this machine, as '%session save' has made them, or those of
NOTEBOOK. One that was changed, or that somebody else has made, is shown with the reason why it is not used.
"""

EPILOG = """\
examples:
  remote-kernel saves report.ipynb
  remote-kernel saves report.ipynb --delete before-training
  remote-kernel saves --json

A save is brought back where its variables belong, in the notebook: '%session restore' there.

exit status: 0, also when there are none; 1 one was not deleted; 2 there is no such save, or the folder is not there
"""

_RED = "\x1b[31m"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "saves", help="list the saves of your notebooks' variables, delete them", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument("notebook", metavar="NOTEBOOK", nargs="?", help="only the saves of this notebook")
    parser.add_argument("--delete", metavar="NAME", help="delete the save with this name, or of this number (SAVE)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Handle the command; raises `UsageError` and, where one was not deleted, `NotWritten`."""
    from remote_kernel.cli.saves.save_list import SaveList
    from remote_kernel.kernel.identity.notebook_path import canonical

    if arguments.notebook == "":
        raise UsageError("NOTEBOOK is empty: name a notebook, or leave it out")
    saves = SaveList.load(arguments.environ)
    if arguments.notebook:
        saves = saves.of_notebook(str(canonical(arguments.notebook)))
    if arguments.delete is not None:
        _delete(_choose(saves.rows, arguments.delete), as_json=arguments.json)
    elif arguments.json:
        print(json.dumps([row.to_json() for row in saves.rows]))
    else:
        _show(saves, f" of {one_line(arguments.notebook)}" if arguments.notebook else "")
    return 0


def _show(saves: "SaveList", whose: str) -> None:
    if saves.rows:
        print(table(saves.rows, time.time()))
        shared = ": they are compressed, and what is the same in several is there once" if len(saves.rows) > 1 else ""
        on_disk = f"{format_bytes(saves.bytes)} on disk{shared}."
        print(f"\n{count_of(len(saves.rows), 'save')} in {saves.folder}, {on_disk}")
    else:
        print(f"There is no save{whose} in {saves.folder}. '%session save' in a notebook makes one.")
    if saves.strangers:
        print(f"{count_of(saves.strangers, 'folder')} there of other users, or of another identity key.")
    for row in saves.rows:
        if row.save.problem:
            print(f"remote-kernel: {one_line(row.save.problem)}", file=sys.stderr)


def table(rows: "Sequence[Row]", now: float) -> str:
    """Return the rows for people at `now` (seconds since 1970); those that cannot be used are red."""
    head = ("SAVE", "NAME", "SAVED", "VARIABLES", "SIZE", "PYTHON", "NOTEBOOK")
    texts = aligned([head, *(_cells(row, now) for row in rows)])
    marks = [False, *(bool(row.save.problem) for row in rows)]
    return "\n".join(f"{_RED}{text}{PLAIN}" if mark else text for text, mark in zip(texts, marks, strict=True))


def _cells(row: "Row", now: float) -> tuple[str, ...]:
    save, manifest = row.save, row.save.manifest
    variables = f"{manifest.saved:,} of {manifest.variables:,}" if manifest.lost_count else f"{manifest.saved:,}"
    of_manifest = ("not used", "-", "-") if save.problem else (variables, format_bytes(manifest.bytes), manifest.python)
    cells = (save.id, save.name or "-", format_moment(save.saved_at, now), *of_manifest, row.notebook or "-")
    return tuple(map(one_line, cells))


def _choose(rows: "Sequence[Row]", name: str) -> "Row":
    from remote_kernel.core.saves.names import parse_name

    wanted = parse_name(name)
    found = [row for row in rows if row.save.name == wanted] or [row for row in rows if row.save.id == wanted]
    if not found:
        raise UsageError(f"there is no save '{wanted}': see 'remote-kernel saves'")
    if len(found) > 1:
        ids = ", ".join(row.save.id for row in found)
        raise UsageError(f"there are {len(found)} saves '{wanted}': name the notebook as well, or one of {ids}")
    return found[0]


def _delete(row: "Row", *, as_json: bool) -> None:
    before = sum(row.store.sizes().values())
    row.store.delete(row.save)
    freed = before - sum(row.store.sizes().values())
    if as_json:
        print(json.dumps({"id": row.save.id, "name": row.save.name, "notebook": row.notebook, "freed_bytes": freed}))
    else:
        of_notebook = f" of {one_line(row.notebook)}" if row.notebook else ""
        less = f"{format_bytes(freed)} less on disk" if freed else "other saves have all that it had"
        print(f"Deleted the save '{row.save.label}'{of_notebook}: {less}.")
