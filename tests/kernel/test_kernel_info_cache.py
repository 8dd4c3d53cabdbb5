"""What a pod's kernel said of itself, remembered: never what a front end stumbles over."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.core.jupyter.kernel_info import checked_kernel_info
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from tests.client.hostile import KERNEL_INFO, Asked, hello, hostile_beside, say, stream
from tests.driver import Notebook, wait_until


def known(folder: Path) -> KernelInfoCache:
    return KernelInfoCache(folder, endpoint="https://pool", kernelspec="python3")


def file_in(folder: Path) -> Path:
    (path,) = (folder / "remote-kernel").glob("kernel-info-*.json")
    return path


def test_what_a_real_kernel_says_is_kept_as_it_is() -> None:
    content = {**local_answers.kernel_info(None), "something": {"new": [1]}, "debugger": True}
    assert checked_kernel_info(content) == content


@pytest.mark.parametrize(
    "content", [{}, {"language_info": []}, {"language_info": {}}, {**KERNEL_INFO, "banner": "x" * 300_000}]
)
def test_a_strange_reply_is_not_remembered(content: dict[str, Any], tmp_path: Path) -> None:
    first = known(tmp_path)
    first.learn(content)
    assert first.content is None
    assert known(tmp_path).content is None
    first.learn(KERNEL_INFO)
    first.learn(content)
    remembered = known(tmp_path).content
    assert remembered == first.content
    assert remembered == checked_kernel_info(KERNEL_INFO)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"language_info": {}}),
        json.dumps({"language_info": 7}),
        json.dumps([1]),
        "[" * 100_000,
        '{"language_info": {"name": "python"}, "x": NaN}',
        "\udcff",
        "",
        json.dumps(KERNEL_INFO) + " " * 300_000,
    ],
)
def test_a_bad_file_is_ignored_and_replaced(text: str, tmp_path: Path) -> None:
    known(tmp_path).learn(KERNEL_INFO)
    file_in(tmp_path).write_text(text, errors="surrogateescape")
    second = known(tmp_path)
    assert second.content is None
    second.learn(KERNEL_INFO)
    assert known(tmp_path).content == checked_kernel_info(KERNEL_INFO)


def test_a_file_without_a_protocol_version_as_older_versions_wrote_it_is_mended(tmp_path: Path) -> None:
    known(tmp_path).learn(KERNEL_INFO)
    content = {name: value for name, value in KERNEL_INFO.items() if name != "protocol_version"}
    file_in(tmp_path).write_text(json.dumps(content))
    assert known(tmp_path).content == checked_kernel_info(content)


@pytest.mark.parametrize(
    "said",
    [
        {"language_info": {"name": "python"}},
        {"language_info": 7, "protocol_version": []},
    ],
    ids=["no protocol", "nonsense"],
)
def test_a_strange_hello_ends_no_later_start(said: dict[str, Any]) -> None:
    def answer(asked: Asked) -> AsyncIterator[bytes]:
        is_stream = asked.path == wire.EVENTS_PATH
        return stream(hello(kernel_info=said)) if is_stream else say({"accepted": 1, "kernels": 1})

    with hostile_beside(answer) as server:
        environ = {"REMOTE_KERNEL_ENDPOINT": server.endpoint, "REMOTE_KERNEL_TOKEN": "token"}
        with Notebook.start(environ=environ) as first:
            first.client.execute("1")
            wait_until(lambda: server.count(wire.MESSAGES_PATH) > 0)  # what the Hello brought has been remembered
        Notebook.start(environ=environ).close()  # which waits for its kernel_info
