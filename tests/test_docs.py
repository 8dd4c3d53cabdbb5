"""The documentation speaks of what there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_that_the_documentation_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+|Test\w+)`", (ROOT / "docs" / "reliability.md").read_text()))
    assert len(named) > 30
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = set(re.findall(r"(?:def |^)(test_\w+|Test\w+)", sources, re.MULTILINE))
    assert named - existing == set()


def test_every_setting_is_in_the_readme() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "remote_kernel").rglob("*.py"))
    used = set(re.findall(r"REMOTE_KERNEL_[A-Z_]+", sources))
    internal = {"REMOTE_KERNEL_POD", "REMOTE_KERNEL_POD_COOLDOWN_SECONDS", "REMOTE_KERNEL_"}
    documented = set(re.findall(r"REMOTE_KERNEL_[A-Z_]+", (ROOT / "README.md").read_text()))
    assert used - internal == documented
