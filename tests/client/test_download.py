"""Downloads from a pod that lists what it likes, into folders that hold what they hold."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.download import Choice, Download
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.target_folder import Found, Interfered, Partial, TargetFolder
from remote_kernel.client.files.transfer import Progress, Told
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.core.download_paths import PARTIAL_PREFIX
from remote_kernel.core.errors import TransferError
from remote_kernel.core.identity import Identifier
from tests.client.hostile_pod import HostilePod

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The folder that a user downloads to; at the end, nothing beside it or outside it was touched."""
    outside = {".bashrc": "# mine", ".ssh/authorized_keys": "a key", ".git/hooks/post-commit": "#!/bin/sh"}
    for name, text in outside.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    assert {path: (tmp_path / path).read_text() for path in outside} == outside
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bashrc", ".git", ".ssh", "home"]


async def download(pod: HostilePod, *paths: str, to: Path, choice: Choice = Choice.KEEP_BOTH) -> Told:
    client = PoolClient(ConfiguredAccess(pod.endpoint, "any"), Identifier("any-session"))
    try:
        task = Download(RemoteFiles(client), Progress(is_upload=False), to=to, patience_seconds=0)
        await task.run(await task.plan(paths), choice)
    finally:
        await client.aclose()
    return task.told


def shown(folder: Path) -> list[str]:
    """Return the files and links in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file())


ATTACKS = [
    ".bashrc", ".ssh/authorized_keys", ".git/hooks/pre-commit", "../.bashrc", "x/../../.bashrc", "/etc/motd", "nul\0",
    "", ".", "..", "a//b", "\x1b]0;title\x07", "line\nend", "\ud800", "x" * 300, f"{PARTIAL_PREFIX}{'0' * 32}",
]  # fmt: skip


@pytest.mark.parametrize("word", [".", "*"])
@pytest.mark.unix
async def test_nothing_that_the_user_did_not_name_comes_into_the_folder(word: str, home: Path) -> None:
    with HostilePod.listing(*ATTACKS, "fine.csv", "a\\b.csv") as pod:
        told = await download(pod, word, to=home)
    assert shown(home) == ["a\\b.csv", "fine.csv"]
    assert sorted(pod.asked) == ["a\\b.csv", "fine.csv"]
    assert all(sentence.isprintable() for sentence in told.failures + told.notes)


async def test_what_a_folder_holds_comes_into_a_folder_of_its_name(home: Path) -> None:
    with HostilePod.listing(*ATTACKS, "fine.csv") as pod:
        told = await download(pod, "results", to=home)
    assert shown(home) == ["results/.bashrc", "results/.ssh/authorized_keys", "results/fine.csv"]
    assert told.notes == ["'results/.git' stayed in the session: what is hidden is fetched when it is named."]
    assert any("title" in sentence for sentence in told.failures)
    assert all(sentence.isprintable() for sentence in told.failures)


async def test_a_pod_s_word_for_a_path_is_not_taken(home: Path) -> None:
    with HostilePod.listing() as pod:
        await download(pod, "sub/data.csv", to=home)
    assert shown(home) == ["data.csv"]


@pytest.mark.parametrize("link", ["results", "results/deep", "results/deep/a.csv"])
@pytest.mark.parametrize("choice", Choice)
async def test_nothing_is_written_through_a_link(link: str, choice: Choice, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / ".ssh" / ("authorized_keys" if link.endswith(".csv") else "")
    (home / link).parent.mkdir(parents=True, exist_ok=True)
    (home / link).symlink_to(elsewhere)
    with HostilePod.listing("deep/", "deep/a.csv", "deep/authorized_keys") as pod:
        if link == "results":
            with pytest.raises(TransferError, match="symbolic link"):
                await download(pod, "results", to=home, choice=choice)
        else:
            told = await download(pod, "results", to=home, choice=choice)
            assert ["symbolic link" in failure for failure in told.failures] == [True]
    assert (home / link).is_symlink()
    assert sorted(path.name for path in (tmp_path / ".ssh").iterdir()) == ["authorized_keys"]


async def test_a_link_to_the_same_file_is_left_and_no_failure(home: Path) -> None:
    with HostilePod.listing("a.csv", "b.csv", "nowhere") as pod:
        (home / "real").write_bytes(pod.content)
        (home / "a.csv").symlink_to("real")
        (home / "nowhere").symlink_to("gone")
        told = await download(pod, "*", to=home, choice=Choice.REPLACE)
    assert [failure.partition(" is a symbolic link")[0] for failure in told.failures] == [f"'{home / 'nowhere'}'"]
    assert (home / "a.csv").is_symlink()
    assert pod.asked == ["b.csv"]


async def test_the_folder_that_the_user_names_may_be_a_link(home: Path) -> None:
    (home / "real").mkdir()
    (home / "link").symlink_to("real")
    with HostilePod.listing() as pod:
        await download(pod, "a.csv", to=home / "link")
    assert shown(home / "real") == ["a.csv"]


@pytest.mark.parametrize("can_hold", [True, False])
def test_a_link_that_comes_after_the_look_is_not_followed(can_hold: bool, home: Path, tmp_path: Path) -> None:
    folder = TargetFolder(home, can_hold=can_hold)
    (home / "a").mkdir()
    assert folder.look(("a", "x")) is None
    (home / "a").rmdir()
    (home / "a").symlink_to(tmp_path / ".ssh")
    with pytest.raises(TransferError, match="symbolic link"), folder.partial(("a", "x"), "partial"):
        pass
    with pytest.raises(TransferError, match="symbolic link"):
        folder.make_folder(("a", "b"))
    with pytest.raises(TransferError, match="symbolic link"):
        folder.digest(("a", "authorized_keys"), Found(0, (0, 0, 0, 0)))


@pytest.mark.unix
def test_a_folder_that_is_swapped_for_a_link_meanwhile_gets_the_file_all_the_same(home: Path, tmp_path: Path) -> None:
    with TargetFolder(home).partial(("a", "x"), "partial") as partial:
        (home / "a").rename(home / "b")
        (home / "a").symlink_to(tmp_path / ".ssh")
        partial.append(b"1")
        partial.finish(replaces=None)
    assert shown(home) == ["a", "b/x"]


@pytest.mark.parametrize("can_hold", [True, False])
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_what_lies_where_a_file_is_to_grow_is_not_written_to(
    kind: str, can_hold: bool, home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / ".bashrc"
    match kind:
        case "link":
            (home / "partial").symlink_to(mine)
        case "hard link":
            (home / "partial").hardlink_to(mine)
        case "pipe":
            os.mkfifo(home / "partial")
    with TargetFolder(home, can_hold=can_hold).partial(("x",), "partial") as partial:
        partial.append(b"1")
        partial.finish(replaces=None)
    assert (home / "x").read_bytes() == b"1"
    assert shown(home) == ["x"]


@pytest.mark.parametrize(("step", "can_hold"), [("made", True), ("made", False), ("in its place", True)])
@pytest.mark.unix
def test_two_that_fetch_one_file_at_one_moment_both_go_on(
    step: str, can_hold: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TargetFolder(home, can_hold=can_hold)
    others: list[Partial] = []

    def fetch_another() -> None:
        monkeypatch.undo()
        others.append(stack.enter_context(folder.partial(("x",), "partial")))
        others[0].append(b"1")

    def open_later(name: str, flags: int, *arguments: Any, **more: Any) -> int:
        if flags & os.O_EXCL:
            fetch_another()
        return os_open(name, flags, *arguments, **more)

    def link_earlier(*arguments: Any, **more: Any) -> None:
        os_link(*arguments, **more)
        fetch_another()

    os_open, os_link = os.open, os.link
    if step == "made":
        monkeypatch.setattr(os, "open", open_later)
    else:
        monkeypatch.setattr(os, "link", link_earlier)
    with contextlib.ExitStack() as stack:
        with folder.partial(("x",), "partial") as partial:
            partial.append(b"1")
            partial.finish(replaces=None)
        with pytest.raises(Interfered):
            others[0].finish(replaces=None)
        others[0].remove()
        others[0].remove()
    assert shown(home) == ["x"]
    assert (home / "x").read_bytes() == b"1"


@pytest.mark.parametrize("can_hold", [True, False])
@pytest.mark.unix
def test_a_file_that_comes_meanwhile_stays(can_hold: bool, home: Path) -> None:
    folder = TargetFolder(home, can_hold=can_hold)
    with folder.partial(("x",), "partial") as partial:
        partial.append(b"the pod's")
        (home / "x").write_text("mine")
        with pytest.raises(TransferError, match="'x' was written here by another program meanwhile"):
            partial.finish(replaces=None)
    found = folder.look(("x",))
    (home / "x").write_text("mine, and newer")
    with folder.partial(("x",), "partial") as partial, pytest.raises(TransferError, match="meanwhile"):
        partial.finish(replaces=found)
    assert (home / "x").read_text() == "mine, and newer"
    with folder.partial(("x",), "partial") as partial:
        partial.finish(replaces=folder.look(("x",)))
    assert (home / "x").read_bytes() == b"the pod's"


@pytest.mark.unix
def test_a_disk_without_hard_links_replaces_nothing_either(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)  # the disk of this machine has them
    folder = TargetFolder(home)
    with folder.partial(("x",), "partial") as partial:
        partial.append(b"the pod's")
        partial.finish(replaces=None)
    assert shown(home) == ["x"]
    with folder.partial(("x",), "partial") as partial, pytest.raises(TransferError, match="meanwhile"):
        partial.finish(replaces=None)
    assert (home / "x").read_bytes() == b"the pod's"


async def test_what_is_here_and_differs_is_kept_beside_what_comes(home: Path) -> None:
    (home / "a.csv").write_text("mine")
    (home / "a (from the session).csv").mkdir()
    with HostilePod.listing("a.csv", "b.csv") as pod:
        told = await download(pod, "*", to=home)
        assert told.notes == [
            "What is here and differs stayed; the session's is in 'a (from the session 2).csv' (--force replaces)."
        ]
        assert (home / "a.csv").read_text() == "mine"
        assert (home / "a (from the session 2).csv").read_bytes() == pod.content
        await download(pod, "*", to=home)
        assert shown(home) == ["a (from the session 2).csv", "a.csv", "b.csv"]
        assert len(pod.asked) == 2


async def test_what_is_here_and_differs_stays_or_goes_as_the_user_says(home: Path) -> None:
    (home / "a.csv").write_text("mine")
    with HostilePod.listing("a.csv", "b.csv") as pod:
        told = await download(pod, "*", to=home, choice=Choice.KEEP)
        assert (told.notes, told.failures) == (["Not replaced: 'a.csv'."], [])
        assert ((home / "a.csv").read_text(), (home / "b.csv").read_bytes()) == ("mine", pod.content)
        await download(pod, "*", to=home, choice=Choice.REPLACE)
    assert shown(home) == ["a.csv", "b.csv"]
    assert (home / "a.csv").read_bytes() == pod.content


async def test_of_two_names_that_are_one_here_the_first_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")  # the disk of this machine tells them apart, and that would not
    with HostilePod.listing("a.csv", "A.csv") as pod:
        told = await download(pod, "*", to=home)
    assert shown(home) == ["a.csv"]
    assert told.failures == ["'A.csv' cannot be written here: to this system its name and that of 'a.csv' are one."]


async def test_one_file_that_cannot_be_had_costs_that_one(home: Path) -> None:
    (home / "here").mkdir()
    with HostilePod.listing("gone", "here", "fine.csv", "x/", "x/y", "x/y/z") as pod:
        pod.missing |= {"gone"}
        told = await download(pod, ".", to=home)
    assert shown(home) == ["fine.csv", "x/y"]
    assert told.failures == [
        "'x/y/z' cannot be written here: 'x/y' is a file and a folder.",
        f"'{home / 'here'}' is a folder here, and a file in the session.",
        "'gone' is not there any more, or cannot be read.",
    ]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("file", "is a file, not a folder"),
        ("file/below", "cannot be used: "),
        ("x" * 300, "cannot be used: File name too long"),
        ("nul\0", "cannot be used: that is no path"),
        ("/proc/none", "cannot be used: "),
    ],
)
async def test_a_folder_that_cannot_be_used_is_one_sentence(to: str, said: str, home: Path) -> None:
    (home / "file").touch()
    with HostilePod.listing("a", "b") as pod, pytest.raises(TransferError, match=said) as caught:
        await download(pod, "*", to=home / to)
    assert str(caught.value).count(".") == 1
    assert str(caught.value).isprintable()


async def test_of_a_thousand_complaints_a_few_are_told(home: Path) -> None:
    listed = (f"{number}\x1b" for number in range(1_000))
    with HostilePod.listing(*listed) as pod, pytest.raises(TransferError, match=r"And 997 files more\."):
        await download(pod, ".", to=home)
