"""Contents of `kernel_info_reply`, as strange as may be: front ends can use them, or they are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.kernel_info import checked_kernel_info
from tests.client.hostile import KERNEL_INFO

STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*KERNEL_INFO, "status", "help_links", "supported_features", "debugger"])


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
    check_usable(info)


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
