"""The names of cells' files are translated in the debugger's messages, and nothing else is."""

import json
from typing import Any

import pytest

from remote_kernel.core.jupyter.debugger_files import HASH_SEED, PREFIX, CellFiles, is_debugger_s

FOLDER = "/tmp/ipykernel_4711/"
INFO = {"hashMethod": "Murmur2", "hashSeed": HASH_SEED, "tmpFilePrefix": FOLDER, "tmpFileSuffix": ".py"}


def message(content: object, msg_type: str = "debug_reply") -> tuple[bytes, ...]:
    return (json.dumps({"msg_type": msg_type}).encode(), b"{}", b"{}", json.dumps(content).encode(), b"\0buffer")


@pytest.fixture
def files() -> CellFiles:
    return CellFiles.from_debug_info({"success": True, "body": INFO})


@pytest.mark.parametrize(
    "content",
    [
        {"body": {"tmpFilePrefix": "FOLDER", "breakpoints": [{"source": "FOLDER1.py", "breakpoints": [{"line": 2}]}]}},
        {"arguments": {"source": {"path": "FOLDER1.py"}, "breakpoints": [{"line": 2}]}},
        {"body": {"stackFrames": [{"id": 1, "source": {"path": "FOLDER1.py", "sourceReference": 0}}]}},
        {"event": "module", "body": {"module": {"path": "FOLDER1.py"}}},
        {"body": {"sourcePath": "FOLDER1.py"}},
        {"body": {"details": {"source": "FOLDER1.py"}}},
    ],
)
def test_paths_are_translated_both_ways(files: CellFiles, content: Any) -> None:
    ours, theirs = (message(json.loads(json.dumps(content).replace("FOLDER", prefix))) for prefix in (PREFIX, FOLDER))
    assert files.inward(ours) == theirs
    assert files.outward(theirs) == ours
    assert files.inward(theirs) is theirs


@pytest.mark.parametrize(
    "content",
    [
        {"arguments": {"code": f"{PREFIX}1.py", "expression": PREFIX, "value": PREFIX}},
        {"body": {"result": f"'{FOLDER}1.py'", "output": FOLDER, "content": f"{FOLDER}1.py"}},
        {"arguments": {"source": {"path": "/usr/lib/python3/json.py"}}},
        {"arguments": {"source": {"path": f"/data{PREFIX}1.py"}}},
    ],
)
def test_what_the_user_wrote_is_not_touched(files: CellFiles, content: Any) -> None:
    parts = message(content)
    assert files.inward(parts) is parts
    assert files.outward(parts) is parts


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"a":' * 100_000, b'{"path": "\\ud800"}'],
    ids=["nothing", "list", "no text", "deep", "half a character"],
)
def test_what_cannot_be_read_passes_as_it_is(files: CellFiles, content: bytes) -> None:
    parts = (b"{}", b"{}", b"{}", content)
    assert files.inward(parts) is parts


def test_deep_content_is_translated_or_passes(files: CellFiles) -> None:
    deep = b'{"a":' * 900 + b'{"path": "' + PREFIX.encode() + b'1.py"}' + b"}" * 900
    assert len(files.inward((b"{}", b"{}", b"{}", deep))) == 4


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"body": None},
        {"body": []},
        {"body": INFO | {"hashSeed": 1}},
        {"body": INFO | {"hashMethod": "MD5"}},
        {"body": INFO | {"tmpFileSuffix": ".jl"}},
        {"body": INFO | {"tmpFilePrefix": None}},
        {"body": INFO | {"tmpFilePrefix": ""}},
        {"body": INFO | {"hashSeed": [1]}},
    ],
)
def test_a_kernel_that_names_its_files_otherwise_is_left_alone(content: Any) -> None:
    files = CellFiles.from_debug_info(content)
    parts = message({"body": {"tmpFilePrefix": FOLDER}})
    assert files.folder == ""
    assert files.outward(parts) is parts


def test_only_the_debugger_s_messages_count() -> None:
    assert is_debugger_s(message({}, "debug_event")[0])
    assert is_debugger_s(message({}, "debug_reply")[0])
    assert not is_debugger_s(message({}, "stream")[0])
