"""One spelling for each Windows path, held against Python's own `PureWindowsPath`."""

from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.windows_paths import spell_windows_path, windows_path_of_url

ADA = r"C:\Users\ada\My notes.ipynb"
NAMES = st.text("aZ é.-", min_size=1, max_size=5).filter(lambda name: name.strip(" .") == name)


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        (ADA, ADA),
        (r"c:\Users\ada\My notes.ipynb", ADA),
        ("c:/Users/ada/My notes.ipynb", ADA),
        (rf"\\?\{ADA}", ADA),
        (rf"\\.\{ADA}", ADA),
        (r"C:\users\ADA\my notes.ipynb", r"C:\users\ADA\my notes.ipynb"),  # in WSL's folders, these would be two
        (r"\\Server\Share\Ada\a.ipynb", r"\\server\share\Ada\a.ipynb"),
        (r"\\?\UNC\Server\Share\Ada\a.ipynb", r"\\server\share\Ada\a.ipynb"),
        (r"\\wsl$\Ubuntu\home\ada\a.ipynb", r"\\wsl.localhost\ubuntu\home\ada\a.ipynb"),
        (r"\\wsl.localhost\Ubuntu\home\ada\a.ipynb", r"\\wsl.localhost\ubuntu\home\ada\a.ipynb"),
    ],
)
def test_a_path_has_one_spelling(path: str, spelling: str) -> None:
    assert spell_windows_path(path) == spelling
    assert spell_windows_path(spelling) == spelling


def test_a_path_of_wsl_is_another_machine_s() -> None:
    assert spell_windows_path("/mnt/c/Users/ada/a.ipynb") == "/mnt/c/Users/ada/a.ipynb"


@given(drive=st.sampled_from("cCdZ"), names=st.lists(NAMES, min_size=1, max_size=4), slash=st.sampled_from("/\\"))
def test_to_windows_the_spelling_is_the_same_path(drive: str, names: list[str], slash: str) -> None:
    path = f"{drive}:{slash}{slash.join(names)}"
    spelling = spell_windows_path(path)
    assert PureWindowsPath(spelling) == PureWindowsPath(path)
    assert str(PureWindowsPath(spelling)) == spelling
    assert PureWindowsPath(spelling).drive == f"{drive.upper()}:"


@pytest.mark.parametrize(
    ("authority", "path", "expected"),
    [
        ("", "/c:/Users/ada/a.ipynb", r"C:\Users\ada\a.ipynb"),
        ("server", "/share/a.ipynb", r"\\server\share\a.ipynb"),
        ("wsl$", "/Ubuntu/home/a.ipynb", r"\\wsl.localhost\ubuntu\home\a.ipynb"),
        ("wsl+ubuntu", "/home/ada/a.ipynb", ""),
        ("ssh-remote+box", "/home/ada/a.ipynb", ""),
        ("", "/home/ada/a.ipynb", ""),
    ],
)
def test_url_names_a_path_of_this_machine_or_none(authority: str, path: str, expected: str) -> None:
    assert windows_path_of_url(authority, path) == expected
    assert not expected or PureWindowsPath(expected).is_absolute()
