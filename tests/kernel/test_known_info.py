"""What a pod's kernel said of itself, remembered: never what a front end stumbles over."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.kernel_info import checked_kernel_info
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from tests.client.hostile import KERNEL_INFO, Asked, hello, hostile_beside, say, stream
from tests.driver import Notebook, wait_until

STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*KERNEL_INFO, "status", "help_links", "supported_features", "debugger"])


def known(folder: Path) -> KernelInfoCache:
    return KernelInfoCache(folder, endpoint="https://pool", kernelspec="python3")


def file_in(folder: Path) -> Path:
    (path,) = (folder / "remote-kernel").glob("kernel-info-*.json")
    return path


def check_usable(info: dict[str, Any]) -> None:
    """Use it as jupyter_client and Jupyter Server do."""
    assert info["status"] == "ok"
    assert int(info["protocol_version"].split(".")[0]) == 5
    assert all(isinstance(info[name], str) for name in ("implementation", "implementation_version", "banner"))
    language = info["language_info"]
    assert language["name"]
    assert all(isinstance(language[name], str) for name in ("name", "version", "mimetype", "file_extension"))
    assert all(link["text"] is not None and link["url"] is not None for link in info["help_links"])
    assert all(isinstance(feature, str) for feature in info["supported_features"])


@given(fields=st.dictionaries(FIELDS, STRANGE), language=st.dictionaries(st.text(), STRANGE))
def test_any_strange_reply_is_usable_or_refused(fields: dict[str, Any], language: dict[str, Any]) -> None:
    content = {**KERNEL_INFO, "language_info": {"name": "python", **language}, **fields}
    try:
        info = checked_kernel_info(content)
    except WireError:
        return
    check_usable(local_answers.kernel_info(info))


@pytest.mark.parametrize("name", list(KERNEL_INFO))
def test_what_a_reply_lacks_is_filled_in_but_for_the_language(name: str) -> None:
    content = {each: value for each, value in KERNEL_INFO.items() if each != name}
    if name == "language_info":
        with pytest.raises(WireError, match="language"):
            checked_kernel_info(content)
    else:
        check_usable(checked_kernel_info(content))


@pytest.mark.parametrize("version", ["4.1", "6.0", "5", "", "x", 5, None, [], "5.4\x1b"])
def test_a_protocol_that_is_not_ours_is_not_believed(version: object) -> None:
    assert checked_kernel_info({**KERNEL_INFO, "protocol_version": version})["protocol_version"] == "5.4"


@pytest.mark.parametrize(
    ("ending", "believed"),
    [
        (".py", ".py"),
        (".c++", ".c++"),
        ("./../../.bashrc", ".txt"),
        ("/x", ".txt"),
        (".a\\b", ".txt"),
        (".x\n", ".txt"),
    ],
)
def test_the_ending_of_a_script_leads_to_no_other_folder(ending: str, believed: str) -> None:
    language = {"name": "python", "file_extension": ending}
    assert (
        checked_kernel_info({**KERNEL_INFO, "language_info": language})["language_info"]["file_extension"] == believed
    )


@pytest.mark.parametrize(
    ("exporter", "believed"),
    [("python", "python"), ("os.abort", None), ("results.evil.Exporter", None), ("", None), (7, None)],
)
def test_a_converter_is_a_name_and_no_path(exporter: object, believed: str | None) -> None:
    language = {"name": "python", "nbconvert_exporter": exporter}
    checked = checked_kernel_info({**KERNEL_INFO, "language_info": language})
    assert checked["language_info"].get("nbconvert_exporter") == believed


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
    check_usable(remembered or {})


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
    check_usable(known(tmp_path).content or {})


def test_a_file_without_a_protocol_version_as_older_versions_wrote_it_is_mended(tmp_path: Path) -> None:
    known(tmp_path).learn(KERNEL_INFO)
    content = {name: value for name, value in KERNEL_INFO.items() if name != "protocol_version"}
    file_in(tmp_path).write_text(json.dumps(content))
    check_usable(known(tmp_path).content or {})


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
        first = Notebook.start(environ=environ)
        try:
            first.client.execute("1")
            wait_until(lambda: server.count(wire.MESSAGES_PATH) > 0)  # what the Hello brought has been remembered
        finally:
            first.close()
        Notebook.start(environ=environ).close()  # which waits for its kernel_info
