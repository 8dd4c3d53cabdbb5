"""Log lines: one for each event, with its time, and nothing that is secret.

A line is one JSON object with `time` (UTC), `level`, `program`, `pid`, `event`, and what belongs to the event. People
see it as Jupyter's own log lines look: `[I 2026-11-25 09:23:13.123 kernel 4711] attached seconds=1.2`. Control
characters in the texts of others are shown, as `\\x1b`: people read logs on terminals.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from remote_kernel.core.text.terminal_text import escape, one_line

Value = str | int | float | bool | None

# What opens something, wherever a text has got it from. Events are made without secrets; this is the second net, for
# the texts of errors and for what libraries log.
_SECRETS = re.compile(
    r"""(?ix)
    (?P<name> [?&]? \b(?:identifier|token|code|secret|password|sig)= ) [^&\s'",)]+
    | (?P<scheme> \bbearer\s+ ) \S+
    | \b eyJ [\w-]{8,} \. [\w-]+ (?: \. [\w-]*)?
    | \b nb-[0-9a-f]{8,}
    | (?P<url> :// ) [^/\s]* (?=@)
    """
)
HIDDEN = "…"

# Longer texts are not ours, and what stands far behind in them helps nobody.
MAX_TEXT_LENGTH = 2_000


def redact(text: str) -> str:
    """Return the text without what looks like an identifier, a token or a password."""
    return _SECRETS.sub(lambda found: f"{found['name'] or found['scheme'] or found['url'] or ''}{HIDDEN}", text)


class LogEvent:
    """An event as the message of a log record: `log.info(LogEvent("attached", seconds=1.2))`.

    Attributes:
        name: one to three words, always the same for the same event.
        fields: never an identifier, a token, code or an environment variable's value; texts of our own errors are fine.
    """

    __slots__ = ("fields", "name")

    def __init__(self, name: str, /, **fields: Value) -> None:
        self.name = one_line(name)
        self.fields = {one_line(key): _tidy(value) for key, value in fields.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogEvent) and (self.name, self.fields) == (other.name, other.fields)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={_show(value)}" for key, value in self.fields.items())])


class LogLine(NamedTuple):
    """One line of a log.

    Attributes:
        at: when, in seconds since 1970.
        level: "debug", "info", "warning", "error" or "critical".
        program: "kernel", "pool" or "pod".
    """

    at: float
    level: str
    program: str
    pid: int
    event: LogEvent

    def to_json(self) -> str:
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"time": moment, "level": self.level, "program": self.program, "pid": self.pid, "event": self.event.name}
        return json.dumps(head | self.event.fields | head, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "LogLine | None":
        """Read a line; `None` when it is not one, as after a full disk or where a program has died with a traceback."""
        try:
            fields: dict[str, Any] = json.loads(text)
            at = datetime.fromisoformat(fields.pop("time")).timestamp()
            level, program, name = (one_line(str(fields.pop(key))) for key in ("level", "program", "event"))
            pid = int(fields.pop("pid"))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return None
        return cls(at=at, level=level, program=program, pid=pid, event=LogEvent(name, **fields))

    def to_text(self) -> str:
        """Return the line for people, in local time."""
        moment = datetime.fromtimestamp(self.at).isoformat(sep=" ", timespec="milliseconds")
        fields = dict(self.event.fields)
        trace = str(fields.pop("trace", "")).rstrip()
        text = f"[{self.level[:1].upper()} {moment} {self.program} {self.pid}] {LogEvent(self.event.name, **fields)}"
        return f"{text}\n{trace}" if trace else text


def _tidy(value: Value) -> Value:
    if isinstance(value, float):
        return round(value, 3)
    return redact(escape(value))[:MAX_TEXT_LENGTH] if isinstance(value, str) else value


def _show(value: Value) -> str:
    """Return a value so that a line stays one line, and a text with blanks one value."""
    text = json.dumps(value, ensure_ascii=False)
    return text[1:-1] if isinstance(value, str) and re.fullmatch(r"[^\s\"'=\\]+", value) else text
