"""The agent that a kernel brings along, as a file."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from remote_kernel.client.interpreter.agent_archive import _sources, agent_archive
from remote_kernel.client.interpreter.injection import Injection, Module


def test_the_same_sources_give_the_same_archive() -> None:
    first = agent_archive()
    agent_archive.cache_clear()
    assert agent_archive() == first
    assert 160_000 < len(first) < 190_000, "the documentation says 175 KB"


def test_it_holds_what_the_agent_imports_and_no_web_server() -> None:
    names = zipfile.ZipFile(io.BytesIO(agent_archive())).namelist()
    assert {
        "remote_kernel/pod/brought_agent.py",
        "remote_kernel/pod/kernels/pod_kernel.py",
        "remote_kernel/pod/packages/probe.py",
        "remote_kernel/core/wire/frames.py",
    } <= {*names}
    assert not [name for name in names if "/pool/" in name or "/client/" in name or "/kernel/" in name]
    assert not [name for name, source in _sources().items() if "starlette" in source or "import uvicorn" in source]


def test_it_runs_without_the_package(tmp_path: Path) -> None:
    (tmp_path / "agent.pyz").write_bytes(agent_archive())
    command = [sys.executable, "-P", "agent.pyz", "--help"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "--folder" in shown


def test_an_argument_is_data_whatever_it_holds() -> None:
    nasty = "\"); import os; os._exit(1) #\n'''\\ {0} {{x}} é"
    for module in Module:
        code = Injection.make(module, {"text": nasty}).code
        assert nasty not in code
        compile(code, "injection", "exec")
        assert code.isascii()
