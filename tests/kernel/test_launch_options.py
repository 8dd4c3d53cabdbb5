"""Launch options of a kernel: from settings, environment and project."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.launch import AS_ASKED, MAX_STARTUP_BYTES, OTHER, Launch
from remote_kernel.kernel.launch.asking import LaunchAsking
from remote_kernel.kernel.launch.options import LaunchOptions, Place
from remote_kernel.kernel.launch.project_file import MAX_BYTES, find_project
from remote_kernel.kernel.output.session_notices import STARTED_OTHERWISE

TABLE = "[tool.remote-kernel]\n"


DEFAULTS = Settings()


def options(folder: Path, settings: Settings = DEFAULTS, **environ: str) -> LaunchOptions:
    return LaunchOptions(settings=settings, environ=environ, notebook=str(folder / "report.ipynb"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_notebook_has_its_name_alone_in_the_session(tmp_path: Path) -> None:
    assert options(tmp_path).read() == Launch(notebook="report.ipynb")


def test_nobody_knows_the_notebook() -> None:
    assert LaunchOptions(settings=Settings(), environ={}, notebook="").read() == Launch()


def test_place_in_a_workspace_counts(tmp_path: Path) -> None:
    place = Place(workspace="w", cwd="w/a", notebook="w/a/report.ipynb")
    assert options(tmp_path).read(place) == Launch(workspace="w", cwd="w/a", notebook="w/a/report.ipynb")


def test_variables_are_forwarded_by_the_setting_before_the_project_s(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", f"{TABLE}env = ['B']")
    environ = {"A": "1", "B": "2", "A_TOKEN": "3"}
    assert options(tmp_path, DEFAULTS, **environ).read().environ == {"B": "2"}
    assert options(tmp_path, Settings(forwarded=("A*",)), **environ).read().environ == {"A": "1"}


@pytest.mark.parametrize(
    ("environ", "seed"), [({}, "0"), ({"PYTHONHASHSEED": "7"}, "7"), ({"PYTHONHASHSEED": ""}, "0")]
)
def test_hash_seed_is_the_user_s_before_the_one_that_is_set(tmp_path: Path, environ: dict[str, str], seed: str) -> None:
    settings = Settings(hash_seed="0")
    assert options(tmp_path, settings, **environ).read().environ == {"PYTHONHASHSEED": seed}
    forwarding = replace(settings, forwarded=("PYTHON*", "A"))
    assert options(tmp_path, forwarding, A="1", **environ).read().environ["A"] == "1"


def test_startup_file_is_the_setting_s_before_the_project_s(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", f"{TABLE}startup = 'tools/start.py'")
    write(tmp_path / "tools" / "start.py", "\ufeffx = 1\n")
    mine = write(tmp_path / "mine.py", "x = 2\n")
    launch = options(tmp_path).read()
    assert (launch.startup_name, launch.startup) == ("start.py", "x = 1\n")
    launch = options(tmp_path, Settings(startup=str(mine))).read()
    assert (launch.startup_name, launch.startup) == ("mine.py", "x = 2\n")


def test_startup_file_is_read_anew_for_each_session(tmp_path: Path) -> None:
    path = write(tmp_path / "start.py", "x = 1\n")
    reading = options(tmp_path, Settings(startup=str(path)))
    assert reading.read().startup == "x = 1\n"
    path.write_text("x = 2\n")
    assert reading.read().startup == "x = 2\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * (MAX_STARTUP_BYTES + 1), "more than 64 KB"),
        (b"\0", "is no text"),
    ],
)
def test_startup_file_that_cannot_be_used_is_told(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "start.py"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SettingsError) as raised:
        options(tmp_path, Settings(startup=str(path))).read()
    assert str(raised.value).startswith(f"REMOTE_KERNEL_STARTUP is {path}, which ")
    assert said in str(raised.value)


def test_startup_that_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="which is no file"):
        options(tmp_path, Settings(startup=str(tmp_path))).read()


def test_startup_file_of_a_project_leads_to_no_other_place(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", "s3cret")
    write(tmp_path / "p" / "pyproject.toml", f"{TABLE}startup = 'start.py'")
    (tmp_path / "p" / "start.py").symlink_to(secret)
    with pytest.raises(SettingsError, match="leads out of the project"):
        options(tmp_path / "p").read()


def test_more_than_can_be_sent_is_told_without_a_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="more than 256 KB") as raised:
        options(tmp_path, Settings(forwarded=("A",)), A="s3cret" * 50_000).read()
    assert "s3cret" not in str(raised.value)


def test_nearest_project_counts(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", f"{TABLE}env = ['A']")
    write(tmp_path / "inner" / "pyproject.toml", "[project]")
    (tmp_path / "other" / "deep").mkdir(parents=True)
    project = find_project(tmp_path / "other" / "deep")
    assert project is not None
    assert project.env == ("A",)
    project = find_project(tmp_path / "other" / "deep")
    assert project is not None
    assert project.folder == str(tmp_path)
    assert find_project(tmp_path / "inner") is None


def test_without_a_notebook_the_folder_of_the_kernel_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "pyproject.toml", f"{TABLE}env = ['A']")
    monkeypatch.chdir(tmp_path)
    assert LaunchOptions(settings=Settings(), environ={"A": "1"}, notebook="").read().environ == {"A": "1"}


def test_file_that_is_none_of_ours_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    assert find_project(tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
@pytest.mark.unix
def test_file_of_somebody_else_above_one_s_own_folder_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", f"{TABLE}env = ['A']")
    (tmp_path / "mine").mkdir()
    os.chown(path, 12345, -1)
    assert find_project(tmp_path / "mine") is None
    os.chown(tmp_path / "mine", 12345, -1)  # the whole project is theirs
    project = find_project(tmp_path / "mine")
    assert project is not None
    assert project.env == ("A",)


def test_endless_file_is_told(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", TABLE + "#" * MAX_BYTES)
    with pytest.raises(SettingsError, match="more than 1024 KB"):
        find_project(tmp_path)


def test_neither_values_nor_code_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "start.py", "s3cret = 1")
    reading = options(tmp_path, Settings(forwarded=("A",), startup=str(path)), A="s3cret")
    assert "s3cret" not in repr(reading) + repr(reading.read())


# What is told


@pytest.mark.anyio
async def test_what_has_become_of_it_is_told_once(tmp_path: Path) -> None:
    asking = LaunchAsking(options(tmp_path, Settings(forwarded=("A",)), A="1"), lambda: None)
    assert asking.take_note(OTHER) == "", "nobody has asked"
    await asking.read()
    assert asking.take_note(AS_ASKED) == ""
    await asking.read()
    assert asking.take_note(OTHER) == STARTED_OTHERWISE
    assert asking.take_note(OTHER) == "", "a connection that has come back"
    await asking.read()
    assert asking.take_note("").startswith("This session goes without forwarded variables: ")
    await asking.read()
    assert asking.take_note("") == ""


@pytest.mark.anyio
async def test_place_counts_from_the_next_session_on(tmp_path: Path) -> None:
    places = [None, Place(workspace="w", notebook="w/report.ipynb")]
    asking = LaunchAsking(options(tmp_path), lambda: places.pop(0))
    assert (await asking.read()).notebook == "report.ipynb"
    assert (await asking.read()).notebook == "w/report.ipynb"


@pytest.mark.anyio
async def test_who_has_set_nothing_misses_nothing(tmp_path: Path) -> None:
    asking = LaunchAsking(options(tmp_path, Settings(hash_seed="0")), lambda: None)
    await asking.read()
    assert asking.take_note("") == ""
