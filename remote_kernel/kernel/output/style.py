"""Style of our outputs: HTML that follows the colours of the front end.

Everything is styled in place, as front ends drop style sheets, and inherits text colour and background, so that it is
legible in light and dark. Other colours come from JupyterLab's variables, then VS Code's, then a middle tone that both
grounds bear, for nbconvert and whatever else shows HTML.
"""

from collections.abc import Sequence

ACCENT = "var(--jp-brand-color1, var(--vscode-progressBar-background, #2186d8))"
GOOD = "var(--jp-success-color1, var(--vscode-testing-iconPassed, #3c9a4b))"
WARNING = "var(--jp-warn-color1, var(--vscode-editorWarning-foreground, #d98b1f))"
ERROR = "var(--jp-error-color1, var(--vscode-testing-iconFailed, #d64545))"
IDLE = "rgba(128, 128, 128, 0.7)"

_LINE = "1px solid rgba(128, 128, 128, 0.28)"
_FONT = (
    "font-family: var(--jp-ui-font-family, var(--vscode-font-family, system-ui, sans-serif)); font-size: 13px; "
    "line-height: 1.5;"
)
_MONO = "font-family: var(--jp-code-font-family, var(--vscode-editor-font-family, monospace)); font-size: 12px;"
_DIM = "opacity: 0.68;"


def escape(text: str) -> str:
    import html  # late, as the start of a kernel waits for imports, and this one has two thousand names of characters

    return html.escape(text)


def dot(colour: str) -> str:
    """Return a round sign of a state."""
    return (
        f'<span style="display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 8px; '
        f'background: {colour};"></span>'
    )


def code(text: str) -> str:
    style = f"{_MONO} background: rgba(128, 128, 128, 0.14); border-radius: 3px; padding: 1px 5px;"
    return f'<code style="{style}">{escape(text)}</code>'


def line(text: str, *, colour: str = ACCENT) -> str:
    """Return a line that says what is being waited for."""
    return f'<div style="{_FONT} padding: 2px 0;">{dot(colour)}<span style="{_DIM}">{escape(text)}</span></div>'


def text(text: str) -> str:
    """Return text that keeps its lines and columns."""
    return f'<pre style="{_MONO} margin: 4px 0; padding: 0; background: none; color: inherit;">{escape(text)}</pre>'


def note(text: str, *, colour: str = ACCENT) -> str:
    """Return a note of one or a few sentences."""
    return (
        f'<div style="{_FONT} border-left: 3px solid {colour}; padding: 3px 0 3px 12px; margin: 4px 0; '
        f'max-width: 62em;">{escape(text)}</div>'
    )


def problem(title: str, text: str) -> str:
    """Return a note that says under a title what went wrong and what to do."""
    return (
        f'<div role="alert" style="{_FONT} border-left: 3px solid {ERROR}; background: rgba(128, 128, 128, 0.1); '
        f'border-radius: 0 4px 4px 0; padding: 7px 14px 8px 12px; margin: 4px 0; max-width: 62em;">'
        f'<div style="font-weight: 600;">{escape(title)}</div><div>{escape(text)}</div></div>'
    )


def card(title: str, state: str, colour: str, rows: Sequence[tuple[str, str]], footer: str) -> str:
    """Return a card with a title, a state, and rows of a name and a value, which is HTML, as the footer is.

    Where it is narrow, as on a phone, values stand below their names.
    """
    body = "".join(
        f'<div style="display: flex; flex-wrap: wrap; gap: 0 16px;"><div style="flex: 0 0 7.5em; {_DIM}">{escape(name)}'
        f'</div><div style="flex: 1 1 12em; min-width: 0; overflow-wrap: anywhere;">{value}</div></div>'
        for name, value in rows
    )
    return (
        f'<div style="{_FONT} border: {_LINE}; border-radius: 8px; max-width: 46em; margin: 4px 0; overflow: hidden;">'
        f'<div style="display: flex; flex-wrap: wrap; align-items: center; padding: 9px 16px; border-bottom: {_LINE};">'
        f'<span style="font-weight: 600; font-size: 14px; margin-right: auto; padding-right: 16px;">{escape(title)}'
        f"</span><span>{dot(colour)}{escape(state)}</span></div>"
        f'<div style="display: grid; gap: 4px; padding: 11px 16px;">{body}</div>'
        f'<div style="{_DIM} padding: 7px 16px; border-top: {_LINE}; font-size: 12px;">{footer}</div></div>'
    )


def meter(fraction: float, *, colour: str = ACCENT, width: str = "100%") -> str:
    """Return a bar that is filled from 0 to 1."""
    percent = max(0.0, min(fraction, 1.0)) * 100
    return (
        f'<span role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent:.0f}" '
        f'style="display: inline-block; vertical-align: middle; width: {width}; height: 7px; border-radius: 4px; '
        f'overflow: hidden; background: rgba(128, 128, 128, 0.25);">'
        f'<span style="display: block; height: 100%; width: {percent:.1f}%; background: {colour};"></span></span>'
    )


def progress(title: str, detail: str, fraction: float, *, colour: str) -> str:
    """Return a bar with what is being done above it and how far it is below."""
    return (
        f'<div style="{_FONT} max-width: 46em; margin: 4px 0;">'
        f'<div style="display: flex; gap: 16px;"><span style="overflow: hidden; text-overflow: ellipsis; '
        f'white-space: nowrap;">{escape(title)}</span>'
        f'<span style="margin-left: auto; font-variant-numeric: tabular-nums;">{fraction:.0%}</span></div>'
        f"{meter(fraction, colour=colour)}"
        f'<div style="{_DIM} font-size: 12px; font-variant-numeric: tabular-nums;">{escape(detail)}</div></div>'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], footer: str, *, is_text: bool = False) -> str:
    """Return a table, its first column to the left, and the others to the right unless they are text."""
    head = "".join(
        f'<th style="{_cell(index, is_text)} font-weight: 600;">{escape(name)}</th>' for index, name in enumerate(heads)
    )
    body = "".join(
        '<tr style="background: none;">'
        + "".join(f'<td style="{_cell(index, is_text)}">{escape(value)}</td>' for index, value in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div style="{_FONT}"><table style="border-collapse: collapse; margin: 4px 0; {_FONT}">'
        f'<thead><tr style="border-bottom: {_LINE};">{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<div style="{_DIM} font-size: 12px;">{escape(footer)}</div></div>'
    )


def _cell(index: int, is_text: bool) -> str:
    side = "left" if index == 0 or is_text else "right"
    return f"text-align: {side}; padding: 2px 24px 2px 0; border: none; font-variant-numeric: tabular-nums;"
