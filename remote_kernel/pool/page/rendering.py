"""The page as HTML, before and without any script.

The templates are data files. `$name` in them is replaced by text, which is escaped; the script fills in the same places
afterwards, which are marked with `data-field`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from remote_kernel import __version__
from remote_kernel.pool.page.view import EventView, PageView, SessionView


@cache
def asset(name: str) -> bytes:
    """Return a data file."""
    return files(__package__).joinpath("assets", name).read_bytes()


def render_page(view: PageView, endpoint: str) -> bytes:
    """Return the page for somebody who may see it."""
    return _fill(
        "page.html",
        {**view.figures, "summary": view.chart.summary, "log": view.log, "endpoint": endpoint, "version": __version__},
        sessions="".join(_fill("session.html", asdict(session)).decode() for session in view.sessions),
        events="".join(_fill("event.html", asdict(event)).decode() for event in view.events),
        blank_session=_fill("session.html", {field.name: "" for field in fields(SessionView)}).decode(),
        blank_event=_fill("event.html", {field.name: "" for field in fields(EventView)}).decode(),
        emptiness="empty" if not view.sessions else "",
    ).strip()


def render_message(title: str, sentence: str, command: str) -> bytes:
    """Return a page that says one thing and a command that helps."""
    return _fill("message.html", {"title": title, "sentence": sentence, "command": command})


def _fill(name: str, texts: Mapping[str, object], **markup: str) -> bytes:
    escaped = {key: escape(str(value)) for key, value in texts.items()}
    return Template(asset(name).decode()).substitute(escaped, **markup).encode()
