"""What a pod says does not command the terminal that a front end may be."""

from collections.abc import Mapping
from typing import Any, cast

from remote_kernel.core.wire.files import RemoteEntry
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics.transfers import show_entries
from remote_kernel.kernel.output.display import Display

HOSTILE = "a\x1b]0;title\x07\x9b2J\u202e\r\n.csv"


class Said:
    """Takes what is published."""

    def __init__(self) -> None:
        self.contents: list[Mapping[str, Any]] = []

    def say(self, _msg_type: str, content: Mapping[str, Any], _parent: bytes = b"{}") -> None:
        self.contents.append(content)


def test_names_in_the_pod_are_shown_as_one_line_without_controls() -> None:
    said = Said()
    shown = show_entries("", [RemoteEntry(path=HOSTILE, is_folder=False, size=1, modified=0.0)])
    Display(cast(Channels, said), b"{}").show(shown)
    data = said.contents[0]["data"]
    for text in (data["text/plain"], data["text/html"]):
        assert r"a\x1b]0;title\x07\x9b2J\u202e\r\n.csv" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert len(data["text/plain"].splitlines()) == 2
