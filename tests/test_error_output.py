"""A test that fails shows what the programs said that it started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TESTS = """
from pathlib import Path
from tests.driver import Notebook, PodProgram, Pool

def test_kernel():
    Notebook.start(environ={"PYTHONHOME": "/nowhere"})

def test_pool():
    with Pool.start("--cooldown", "often"):
        pass

def test_pod(tmp_path):
    with PodProgram.start(tmp_path, "--kernel"):
        pass

def test_log(private_folders):
    (private_folders / "kernel.log").write_text("It was the log.")
    raise AssertionError
"""


def run_tests(folder: Path, text: str) -> str:
    """Run tests with our conftest; return what pytest said."""
    path = folder / "test_failing.py"
    path.write_text(text)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(folder), "--capture", "no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    return done.stdout


@pytest.mark.slow
def test_what_programs_wrote_is_shown_where_their_test_fails(tmp_path: Path) -> None:
    said = run_tests(tmp_path, TESTS)
    sections = dict(
        re.findall(r"^-+ (Standard error of \w+|Log [\w/.]+)[ \d]* -+\n(.*?)(?=^[-_=]{3,})", said, re.M | re.S)
    )
    assert "encodings" in sections["Standard error of kernel"]
    assert "The kernel has ended with exit status 1." in said
    assert "often" in sections["Standard error of pool"]
    assert "--kernel" in sections["Standard error of pod"]
    assert "It was the log." in sections["Log kernel.log"]
    assert len(re.findall("^-+ Standard error", said, re.M)) == 3, "each is shown with its own test only"
