"""Launch options of a kernel."""

from remote_kernel.core.wire.launch import Launch
from remote_kernel.kernel.launch.options import LaunchOptions, Place


def test_notebook_has_its_name_alone_in_the_session() -> None:
    assert LaunchOptions(notebook="/home/me/secret project/report.ipynb").read() == Launch(notebook="report.ipynb")


def test_nobody_knows_the_notebook() -> None:
    assert LaunchOptions(notebook="").read() == Launch()


def test_place_in_a_workspace_counts() -> None:
    place = Place(workspace="w", cwd="w/a", notebook="w/a/report.ipynb")
    assert LaunchOptions(notebook="/x/a/report.ipynb").read(place) == Launch(
        workspace="w", cwd="w/a", notebook="w/a/report.ipynb"
    )
