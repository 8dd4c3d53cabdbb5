"""`remote-kernel install`, `list` and `uninstall` keep kernels for several pools side by side."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from remote_kernel.cli.install.kernelspecs import find_shipped
from remote_kernel.core.errors import UsageError
from tests.cli.command import run_command
from tests.driver import Notebook, Pool


def spec_of(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / "kernel.json").read_text())
    return fields


def test_kernels_for_several_pools_live_side_by_side(private_folders: Path) -> None:
    endpoints = {"one": "https://one.example/", "two": "https://two.example"}
    for name, endpoint in endpoints.items():
        done = run_command(
            "install", "--name", name, "--endpoint", endpoint, "--scope", "project", "--env", "REMOTE_KERNEL_FRESH=1"
        )
        assert (done.status, done.stderr) == (0, "")
        assert f"'remote-kernel doctor --endpoint {endpoint}'" in done.stdout
    folder = private_folders / "data" / "kernels" / "one"
    assert spec_of(folder) == {
        "argv": [sys.executable, *spec_of(find_shipped())["argv"][1:]],
        "display_name": "Python (remote session, one)",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"debugger": True, "supported_encryption": "curve"},
        "env": {
            "REMOTE_KERNEL_ENDPOINT": "https://one.example/",
            "REMOTE_KERNEL_SCOPE": "project",
            "REMOTE_KERNEL_FRESH": "1",
        },
    }
    assert {path.name for path in folder.iterdir()} >= {"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}
    assert folder.stat().st_mode & 0o777 == 0o755
    listed = json.loads(run_command("list", "--json").stdout)
    assert {kernel["name"]: kernel["endpoint"] for kernel in listed} == {**endpoints, "remote": ""}


def test_shipped_kernelspec_is_the_installed_one() -> None:
    assert find_shipped() == (Path(sys.prefix) / "share" / "jupyter" / "kernels" / "remote").resolve()


def test_package_without_its_record_of_files_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="not-installed is not there: install the package again, with pip"):
        find_shipped("not-installed")


def test_installed_kernel_runs_in_its_pool(pool: Pool) -> None:
    environ = ["--env", f"REMOTE_KERNEL_TOKEN={pool.token}", "--env", "REMOTE_KERNEL_IDENTIFIER=of-this-kernel"]
    assert run_command("install", "--name", "mine", "--endpoint", pool.endpoint, *environ).status == 0
    before = len(pool.sessions())
    with Notebook.start("mine") as notebook:
        assert notebook.run("6 * 7").result == "42"
        assert len(pool.sessions()) == before + 1


@pytest.mark.parametrize("option", ["--sys-prefix", "--prefix"])
def test_prefix_is_where_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    where = [option] if option == "--sys-prefix" else [option, tmp_path]
    assert run_command("install", "--name", "here", "--display-name", "Here", *where).status == 0
    assert spec_of(tmp_path / "share" / "jupyter" / "kernels" / "here")["display_name"] == "Here"


def test_kernel_is_replaced_by_one_of_the_same_name(private_folders: Path) -> None:
    for scope in ("project", "job"):
        assert run_command("install", "--scope", scope).status == 0
    assert spec_of(private_folders / "data" / "kernels" / "remote")["env"] == {"REMOTE_KERNEL_SCOPE": "job"}


def test_secret_is_for_the_user_alone(private_folders: Path, tmp_path: Path) -> None:
    secret = ["--env", "REMOTE_KERNEL_TOKEN=t0ken-of-mine"]
    refused = run_command("install", "--prefix", tmp_path, *secret)
    assert refused.status == 2
    assert "REMOTE_KERNEL_TOKEN is a secret, and everybody who uses" in refused.stderr
    assert not list(tmp_path.iterdir())
    done = run_command("install", "--name", "mine", *secret)
    assert done.status == 0
    assert "only you can read it" in done.stdout
    folder = private_folders / "data" / "kernels" / "mine"
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    listed = run_command("list", "--json").stdout
    assert "t0ken-of-mine" not in listed + run_command("list").stdout + refused.stderr + done.stdout
    assert '"REMOTE_KERNEL_TOKEN": "\\u2026"' in listed


def test_uninstall_removes_what_was_installed_and_nothing_else(private_folders: Path) -> None:
    run_command("install", "--name", "mine")
    done = run_command("uninstall", "mine")
    assert (done.status, done.stderr) == (0, "")
    assert "mine" not in KernelSpecManager().find_kernel_specs()
    foreign = private_folders / "data" / "kernels" / "foreign"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": "X", "language": "x"}))
    for command in (["uninstall", "foreign"], ["install", "--name", "foreign"]):
        done = run_command(*command)
        assert done.status == 2
        assert "is not one of remote-kernel's" in done.stderr
    assert (foreign / "kernel.json").exists()


def test_kernel_whose_python_is_gone_is_shown_as_such(private_folders: Path) -> None:
    run_command("install", "--name", "old")
    path = private_folders / "data" / "kernels" / "old" / "kernel.json"
    path.write_text(path.read_text().replace(sys.executable, "/gone/python"))
    (line,) = [line for line in run_command("list").stdout.splitlines() if line.startswith("old")]
    assert line.endswith("(/gone/python is gone: install it again)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["install", "--name", "a b"], "'a b' cannot be the name of a kernel"),
        (["install", "--endpoint", "nonsense"], "REMOTE_KERNEL_ENDPOINT is not a URL"),
        (["install", "--endpoint", "https://me:word@host.example"], "REMOTE_KERNEL_ENDPOINT holds a password"),
        (["install", "--scope", "world"], "invalid choice: 'world'"),
        (["install", "--env", "REMOTE_KERNEL_WAIT_SECONDS=soon"], "REMOTE_KERNEL_WAIT_SECONDS is 'soon'"),
        (["install", "--env", "NOVALUE"], "argument --env: write NAME=VALUE"),
        (["install", "--user", "--sys-prefix"], "not allowed with argument --user"),
        (
            ["install", "--prefix", "/proc/nowhere"],
            "cannot write /proc/nowhere/share/jupyter/kernels/remote (No such file or directory): try --user",
        ),
        (["uninstall"], "the following arguments are required: NAME"),
        (["uninstall", "nosuch"], "there is no Jupyter kernel named 'nosuch': see 'remote-kernel list'"),
        (["uninstall", "remote"], "'remote' came with the package"),
        (["list", "--nosuch"], "unrecognized arguments: --nosuch"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(private_folders: Path, arguments: list[str], sentence: str) -> None:
    done = run_command(*arguments)
    assert done.status == (1 if "/proc" in sentence else 2)
    assert sentence in done.stderr.splitlines()[-1]
    assert not (private_folders / "data" / "kernels").exists()


def test_user_whose_folder_cannot_be_written_is_told_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/proc/nowhere")
    done = run_command("install")
    assert done.status == 1
    assert done.stderr.endswith("): set JUPYTER_DATA_DIR to a folder of yours, or name another with --prefix\n")
