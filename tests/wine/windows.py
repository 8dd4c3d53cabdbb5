"""What `python -m tests.wine` has made, to be run."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".build" / "wine"
PYTHON = FOLDER / "python.exe"
COMPILER = "x86_64-w64-mingw32-gcc"


def environ(**more: str) -> dict[str, str]:
    """Return an environment for programs under Wine, whose Windows has its files beside the interpreter."""
    ours = {"WINEPREFIX": str(FOLDER / "windows"), "WINEDEBUG": "-all", "PYTHONDONTWRITEBYTECODE": "1"}
    left_out = ("JUPYTER", "JPY_", "REMOTE_KERNEL_", "PYTHONPATH", "IPYTHONDIR", "VIRTUAL_ENV")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(left_out)}, **ours, **more}


def run_python(*arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the Python for Windows; what it writes is kept."""
    return subprocess.run(
        ["wine", str(PYTHON), *arguments],
        env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
