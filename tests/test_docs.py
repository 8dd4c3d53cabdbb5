"""The documentation speaks of what there is: settings, options, exit statuses, error texts, tests and files."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_kernel.cli import build_parser
from remote_kernel.cli.run.notebook_folders import find_notebooks
from remote_kernel.core.settings import Settings
from remote_kernel.pod.__main__ import build_parser as build_pod_parser
from tests import commands_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
SOURCES = sorted((ROOT / "remote_kernel").rglob("*.py"))

# Set by us for those who run in a pod, or between our own processes.
NO_SETTINGS = {"REMOTE_KERNEL_POD", "REMOTE_KERNEL_POD_COOLDOWN_SECONDS", "REMOTE_KERNEL_", "REMOTE_KERNEL_WORKSPACE_"}


def section(title: str) -> str:
    """Return the text under a heading of the page about configuration."""
    text = (DOCS / "configuration.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, list[str]]:
    """Return the table under a heading: the other cells by the name in the first one."""
    lines = [line.strip("|").split("|") for line in section(title).splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells[2:]}


def strings(path: Path) -> Iterator[str]:
    """Yield the texts in a module, with a gap where a value is put in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{[^{}]*\}", "\0", node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


def commands(parser: argparse.ArgumentParser, name: str = "remote-kernel") -> Iterator[tuple[str, str]]:
    """Yield every command and its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield f"{name} {word}", command.format_help()
                yield from commands(command, f"{name} {word}")


def options(parser: argparse.ArgumentParser) -> dict[str, object]:
    """Return the defaults of a parser's public options."""
    return {
        "`, `".join(name for name in action.option_strings if name.startswith("--")): action.default
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help"
    }


def command_parser(name: str) -> argparse.ArgumentParser:
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    parser: argparse.ArgumentParser = subparsers.choices[name]
    return parser


def test_every_guarantee_names_files_of_tests_that_exist() -> None:
    guarantees = (DOCS / "reliability.md").read_text().split("\n## Guarantees\n")[1].split("\n## ")[0]
    rows = [line for line in guarantees.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 30
    file = re.compile(r"`((?:\w+/)*test_\w+\.py)`")
    assert [row for row in rows if not file.search(row.rsplit(" | ", 1)[1])] == []
    assert [name for name in file.findall(guarantees) if not (ROOT / "tests" / name).exists()] == []


def test_every_test_that_the_page_about_security_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+|Test\w+)`", (DOCS / "security.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = set(re.findall(r"(?:def |^)(test_\w+|Test\w+)", sources, re.MULTILINE))
    assert named - existing == set()


def test_security_says_that_who_may_use_a_pool_can_list_its_identifiers() -> None:
    text = " ".join((DOCS / "security.md").read_text().split())
    assert "`GET /listSessions`" in text
    assert "`POST /.management/listSessions`" in text
    assert "can list its sessions with their identifiers" in text
    # As if an identifier could be kept from those who have the role, or were of any use against them.
    promises = re.compile(r"learns? (another user's|the) identifier|cannot be learned|with certainty need a pool")
    for page in PAGES:
        assert not promises.search(" ".join(page.read_text().split())), page.name


def test_every_setting_is_in_the_table_and_no_other() -> None:
    used = set(re.findall(r"REMOTE_KERNEL_[A-Z_]*", "\n".join(path.read_text() for path in SOURCES)))
    assert used - NO_SETTINGS == set(rows("Settings of a kernel"))


def test_no_page_speaks_of_a_setting_that_does_not_exist() -> None:
    of_the_tests = {"REMOTE_KERNEL_LIVE_ENDPOINT", "REMOTE_KERNEL_LIVE_TOKEN"}
    known = set(rows("Settings of a kernel")) | NO_SETTINGS | of_the_tests
    for page in PAGES:
        assert set(re.findall(r"REMOTE_KERNEL_[A-Z_]+", page.read_text())) <= known, page.name


def test_the_defaults_in_the_table_are_those_of_the_code() -> None:
    table, defaults = rows("Settings of a kernel"), Settings()
    for name, value in {
        "TOKEN_SCOPE": defaults.token_scope,
        "SCOPE": defaults.scope.value,
        "POD_KERNEL": defaults.pod_kernel,
        "FRESH": int(defaults.is_fresh),
        "HISTORY": int(defaults.keeps_history),
        "WAIT_SECONDS": f"{defaults.wait_seconds:g}",
        "ACCESS_WAIT_SECONDS": f"{defaults.access_wait_seconds:g}",
        "KEEPALIVE_MINUTES": f"{defaults.keepalive_minutes:g}",
        "SAVES_KEEP": defaults.saves_kept,
        "SAVES_MAX_MB": f"{defaults.saves_max_bytes / 1e6:g}",
        "SAVE_MAX_MB": f"{defaults.save_max_bytes / 1e6:g}",
        "SAVE_SECONDS": f"{defaults.save_seconds:g}",
        "AUTOSAVE": int(defaults.autosaves),
        "AUTORESTORE": int(defaults.autorestores),
    }.items():
        assert table[f"REMOTE_KERNEL_{name}"][-1] == f"`{value}`"


@pytest.mark.parametrize(
    ("title", "parser"),
    [("Options of the local pool", command_parser("pool")), ("Options of a pod", build_pod_parser())],
)
def test_every_option_is_in_its_table_with_its_default(title: str, parser: argparse.ArgumentParser) -> None:
    table = rows(title)
    assert set(table) == set(options(parser))
    for name, default in options(parser).items():
        if default not in (None, False, []):
            text = f"{default:g}" if isinstance(default, float) else str(default)
            assert table[name][-1] == f"`{text}`", name


def test_every_command_is_in_the_table_with_its_exit_statuses() -> None:
    table = rows("Exit statuses")
    texts = dict(commands(build_parser()))
    assert set(table) == set(texts)
    for name, (one, others) in table.items():
        _, _, statuses = texts[name].lower().partition("exit status:")
        if statuses:
            said = re.findall(r"(?<![\w.])(\d+)\s+[a-z]", statuses)
            assert ("1" in said) == bool(one), name
            assert {"129", "130", "143"} & set(said) == set(re.findall(r"\d{3}", others)), name


def test_the_page_of_commands_is_what_their_help_says() -> None:
    assert commands_page.PAGE.read_text() == commands_page.page(), "write it anew: python -m tests.commands_page"


def test_every_error_text_that_is_explained_is_one_of_the_code() -> None:
    explained = re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(explained) > 30
    texts = [text for path in SOURCES for text in strings(path)]
    for heading in explained:
        pattern = re.compile("(?s:.)*".join(map(re.escape, heading.split("…"))))
        assert any(pattern.search(text) for text in texts), heading


def test_the_changelog_says_nothing_twice() -> None:
    items = [" ".join(item.split())[:60] for item in (ROOT / "CHANGELOG.md").read_text().split("\n- ")[1:]]
    assert [item for number, item in enumerate(items) if item in items[:number]] == []


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        text = page.read_text()
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(linked), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page_and_notebook() -> None:
    linked = set(re.findall(r"\]\((\S+)\)", (DOCS / "README.md").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= linked
    assert {f"../{path.relative_to(ROOT)}" for path in find_notebooks([ROOT / "notebooks"])} <= linked


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
