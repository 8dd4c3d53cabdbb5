"""What `pip install` puts on a machine."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

import remote_kernel

PROJECT = Path(__file__).parents[1]
VERSION = remote_kernel.__version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of its sources, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, PROJECT], check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name == f"remote_session_kernel-{VERSION}-py3-none-any.whl"


def test_wheel_holds_the_whole_package_and_nothing_else(names: set[str]) -> None:
    sources = {str(path.relative_to(PROJECT)) for path in PROJECT.glob("remote_kernel/**/*.*")}
    sources = {name for name in sources if "__pycache__" not in name}
    assert "remote_kernel/pool/page/assets/page.html" in sources
    assert {name for name in names if name.startswith("remote_kernel/")} == sources
    assert {name.split("/")[0].removesuffix(f"-{VERSION}.dist-info") for name in names} == {
        "remote_kernel",
        "remote_session_kernel",
        f"remote_session_kernel-{VERSION}.data",
    }


def test_wheel_puts_the_kernelspec_where_jupyter_looks(wheel: Path, names: set[str]) -> None:
    folder = f"remote_session_kernel-{VERSION}.data/data/share/jupyter/kernels/remote"
    files = {"kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}
    assert {name for name in names if "/share/" in name} == {f"{folder}/{file}" for file in files}
    with ZipFile(wheel) as archive:
        spec = json.loads(archive.read(f"{folder}/kernel.json"))
    assert spec == {
        "argv": ["python", "-P", "-m", "remote_kernel", "-f", "{connection_file}"],
        "display_name": "Python (remote session)",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"debugger": True, "supported_encryption": "curve"},
    }


def test_wheel_names_its_commands_and_its_licence(wheel: Path, names: set[str]) -> None:
    information = f"remote_session_kernel-{VERSION}.dist-info"
    with ZipFile(wheel) as archive:
        commands = archive.read(f"{information}/entry_points.txt").decode()
    assert "remote-kernel = remote_kernel.cli:main" in commands
    assert "remote-kernel-pod = remote_kernel.pod.__main__:main" in commands
    assert f"{information}/licenses/LICENSE" in names


def test_source_distribution_brings_nobody_else_s_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=PROJECT)
    (path,) = tmp_path.iterdir()
    with tarfile.open(path) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert "pyproject.toml" in files
    assert not {name for name in files if name.endswith((".gz", ".whl", ".zip"))}


def test_installing_makes_the_kernel_visible_to_jupyter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path
) -> None:
    # Into an environment of its own: even with --prefix, pip would uninstall the project from the one that runs this.
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--quiet", wheel], check=True, capture_output=True)
    monkeypatch.setenv("JUPYTER_PATH", str(environment / "share" / "jupyter"))
    command = [sys.executable, "-m", "jupyter_client.kernelspecapp", "list", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    folder = json.loads(listed.stdout)["kernelspecs"]["remote"]["resource_dir"]
    assert folder == str(environment / "share" / "jupyter" / "kernels" / "remote")
    assert (environment / "bin" / "remote-kernel").exists()
