"""Lock of a session: interpreter, platform and packages that a run had, written down for the next one.

A file of JSON, sorted, so that a version control system shows what has changed:

    {"remote-kernel-lock": 1, "interpreter": "CPython 3.12.4", "platform": "linux-x86_64 glibc 2.36",
     "packages": {"numpy": "2.1.0"}}
"""

import ast
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote_kernel.cli.run.result_files import check_writable, reason, write_whole
from remote_kernel.core.errors import UsageError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire.packages import DISTRIBUTION, normalized

FORMAT = "remote-kernel-lock"
VERSION = 1

# Far more than an interpreter with thousands of packages says.
MAX_BYTES = 4 * 1024 * 1024
MAX_NAMED = 8

# An expression, so that nothing of it stays among the user's variables. Of two distributions of one name, the first on
# the path counts.
EXPRESSION = """\
__import__("json").dumps({
    "interpreter": __import__("platform").python_implementation() + " " + __import__("platform").python_version(),
    "platform": " ".join(filter(None, [__import__("sysconfig").get_platform(), *__import__("platform").libc_ver()])),
    "packages": {
        each.metadata["Name"]: each.version
        for each in reversed(list(__import__("importlib.metadata", fromlist=["metadata"]).distributions()))
        if each.metadata["Name"] and each.version
    },
})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLock:
    """Interpreter, platform and packages of a session; these are versions by normalized name."""

    interpreter: str
    platform: str
    packages: Mapping[str, str]

    @classmethod
    def parse(cls, fields: Any) -> "SessionLock":
        """Read JSON; raises `ValueError` for what is no lock."""
        try:
            names = {normalized(name): version for name, version in fields["packages"].items()}
            texts = [fields["interpreter"], fields["platform"], *names.values()]
        except (KeyError, TypeError, AttributeError):
            raise ValueError("it does not say what a session has") from None
        if not all(isinstance(text, str) and text.isprintable() and len(text) <= 200 for text in texts):
            raise ValueError("it has versions that are none")
        packages = {name: version for name, version in sorted(names.items()) if DISTRIBUTION.fullmatch(name)}
        return cls(interpreter=texts[0], platform=texts[1], packages=packages)

    def to_text(self) -> str:
        fields = {"interpreter": self.interpreter, "platform": self.platform, "packages": dict(self.packages)}
        return json.dumps({FORMAT: VERSION, **fields}, indent=2) + "\n"


def read_lock(path: Path) -> SessionLock | None:
    """Return what a file says, `None` where there is none; raises `UsageError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get(FORMAT) != VERSION:
            raise ValueError("it is not one of 'run --lock', or of a later version")
        return SessionLock.parse(fields)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        why = "it is not JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else error
        raise UsageError(f"{path} is not a lock of a session: {why}") from None


def parse_inventory(reply: Mapping[str, Any]) -> SessionLock | None:
    """Return what an `execute_reply` says of `EXPRESSION`; `None` where the kernel could not say it."""
    try:
        text = reply["content"]["user_expressions"]["lock"]["data"]["text/plain"]
        return SessionLock.parse(json.loads(ast.literal_eval(text))) if len(text) <= MAX_BYTES else None
    except (KeyError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def compare(locked: SessionLock, found: SessionLock) -> list[str]:
    """Return a sentence for each kind of difference."""
    said = []
    if found.interpreter != locked.interpreter:
        said.append(f"the interpreter is {found.interpreter}, and was {locked.interpreter}")
    if found.platform != locked.platform:
        said.append(f"the platform is {found.platform}, and was {locked.platform}")
    was, now = locked.packages, found.packages
    other = [f"{name} {now[name]} (was {was[name]})" for name in was if name in now and now[name] != was[name]]
    missing = [f"{name} {was[name]}" for name in was if name not in now]
    new = [f"{name} {now[name]}" for name in now if name not in was]
    kinds = ((other, "of another version"), (missing, "not there"), (new, "new"))
    said += [
        f"{count_of(len(names), 'package')} {_are(names)} {kind}: {_listed(names)}" for names, kind in kinds if names
    ]
    return said


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


@dataclass(slots=True)
class LockFile:
    """The file of `run --lock`: checked before the first cell where it is there, and written at the end where not.

    Attributes:
        locked: what it says; `None` where it is not there.
        differences: sentences about what sessions have of it and what not.
    """

    path: Path
    locked: SessionLock | None
    differences: list[str] = field(default_factory=list)
    _found: list[SessionLock] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "LockFile":
        """Read it; raises `UsageError` where it is something else, or could not be written."""
        locked = read_lock(path)
        if locked is None:
            check_writable(path)
        return cls(path, locked)

    def check(self, found: SessionLock | None) -> None:
        """Say on standard error what a session has that differs, once for all notebooks."""
        if self.locked is None:
            return
        said = ["the session does not say what it has"] if found is None else compare(self.locked, found)
        for sentence in said:
            if sentence not in self.differences:
                self.differences.append(sentence)
                print(f"remote-kernel: {one_line(str(self.path))}: {one_line(sentence)}", file=sys.stderr)

    def note(self, found: SessionLock | None) -> None:
        """Note what a session had at the end of its notebook."""
        if found is not None:
            self._found.append(found)

    def write(self) -> bool:
        """Write what the sessions had, unless the file is there; whether it was written. Raises `NotWritten`.

        Sessions of one run differ in what was installed in each; of two versions, that of the later one counts.
        """
        if self.locked is not None or not self._found:
            return False
        packages: dict[str, str] = {}
        for found in self._found:
            packages |= found.packages
        last = self._found[-1]
        lock = SessionLock(
            interpreter=last.interpreter, platform=last.platform, packages=dict(sorted(packages.items()))
        )
        write_whole(self.path, lock.to_text())
        return True
