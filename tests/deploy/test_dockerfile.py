"""The image of the pods, without a container engine: what the Dockerfile says is done in a clean folder."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.dockerfile import Build, Image, ignores, parse, run_shell, stages
from tests.driver import run_in_pod, stdout_of, wait_until

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
INSTRUCTIONS = parse((DEPLOY / "Dockerfile").read_text())
STAGES = dict(stages(INSTRUCTIONS))
RULES = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

# Where the image has its things.
PATHS = ["/opt/pod", "/src", "/wheels", "/mnt/data"]

# What needs a machine of its own to be done: packages of the system, and its users.
FOR_ROOT = ("apt-get", "useradd")


def requirements(name: str) -> dict[str, str]:
    """Return the names and versions of a list, in the form of package metadata."""
    lines = [line for line in (DEPLOY / name).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "every version is pinned"
    return {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower(): line.split("==")[1] for line in lines}


def test_the_base_is_one_release_and_slim() -> None:
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+", INSTRUCTIONS[0].text)
    assert all(stage[0].arguments[0] == "${PYTHON_IMAGE}" for stage in STAGES.values())


def test_every_package_is_pinned() -> None:
    installed = [word for word in INSTRUCTIONS if word.word == "RUN" and "pip install" in word.text]
    for instruction in installed:
        named = re.sub(r"--requirement \S+|--[\w-]+", "", instruction.text.split("pip install")[1]).split()
        assert all("==" in name or name == "/wheels/*.whl" for name in named)
    assert requirements("requirements.txt")
    assert requirements("packages.txt")


def test_the_build_sees_nothing_but_what_the_image_is_made_of() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False)
    files = listed.stdout.split() or ["pyproject.toml"]
    seen = {path for path in files if not ignores(RULES, path)}
    tops = {path.split("/")[0] for path in seen}
    assert tops <= {"LICENSE", "README.md", "deploy", "kernelspec", "pyproject.toml", "remote_kernel"}
    secret = [".env", ".git/config", "pool.json", "notebooks/a.ipynb", "deploy/.env", "remote_kernel/__pycache__/a.pyc"]
    assert all(ignores(RULES, path) for path in secret)
    copied = [word for word in INSTRUCTIONS if word.word == "COPY" and "from" not in word.options]
    for source in (source for word in copied for source in word.arguments[:-1]):
        assert (PROJECT / source).exists()
        assert not ignores(RULES, source)


def test_a_container_is_no_root_and_reaps_its_children() -> None:
    last = {instruction.word: instruction for instruction in STAGES[""]}
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"].text), "numbers, which platforms can check"
    assert f"--uid {last['USER'].text.split(':')[0]} " in " ".join(word.text for word in STAGES[""])
    assert last["ENTRYPOINT"].arguments == ["tini", "--"]
    assert "tini" in next(word.text for word in STAGES[""] if "apt-get" in word.text)
    assert last["EXPOSE"].text in last["CMD"].arguments


def test_the_list_of_requirements_is_all_that_the_agent_imports() -> None:
    """Were something else needed, the pods would not start; the test of the whole image takes minutes."""
    program = """if True:
        import importlib.abc, importlib.metadata, sys

        allowed = {*sys.argv[1:], "remote-session-kernel"}
        providers = importlib.metadata.packages_distributions()

        class Refusing(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                packages = {package.lower().replace("_", "-").replace(".", "-") for package in providers.get(name, [])}
                if packages and not packages & allowed:
                    raise ModuleNotFoundError(f"{name} is not in the list", name=name)

        sys.meta_path.insert(0, Refusing())
        import remote_kernel.pod.__main__
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *requirements("requirements.txt")], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


class InTheTestEnvironment:
    """Does the RUN commands of the build with the packages of this environment where the Dockerfile downloads some."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def __call__(self, command: str, folder: Path) -> None:
        if command.startswith(FOR_ROOT):
            self.skipped.append(command.split()[0])
        elif "--requirement" in command:
            self._lend(Path(command.split()[0]).parent.parent)
        elif "hatchling" not in command:
            run_shell(_with_this_python(command), folder)

    def _lend(self, environment: Path) -> None:
        (packages,) = environment.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))


def _with_this_python(command: str) -> str:
    """Return a command that uses this interpreter where the Dockerfile's uses the base image's."""
    program, rest = command.split(maxsplit=1)
    return {"python": f"{sys.executable} {rest}", "pip": f"{sys.executable} -m pip {rest}"}.get(program, command)


class ForReal:
    """Does every RUN command that does not need a system of its own."""

    def __call__(self, command: str, folder: Path) -> None:
        if not command.startswith(FOR_ROOT):
            tools = folder.parent / "tools"
            if not tools.exists():
                run_shell(f"{sys.executable} -m venv {tools}", folder)
            run_shell(f"PATH={tools}/bin:$PATH; {command}", folder)


@contextmanager
def container(image: Image) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start what the image starts, on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [word.replace("0.0.0.0", "127.0.0.1").replace("8080", port) for word in image.command("CMD")]
    command[0] = str(image.root / "opt/pod/bin" / command[0])
    environ = {**image.environment(), "HOME": str(image.root)}
    with subprocess.Popen(command, cwd=image.workdir, env=environ, start_new_session=True) as process:
        try:
            yield port, process
        finally:
            if process.poll() is None:
                process.kill()


def is_healthy(image: Image, port: str) -> bool:
    command = [word.replace("8080", port) for word in image.command("HEALTHCHECK")]
    return subprocess.run(command, env=image.environment(), capture_output=True, check=False).returncode == 0


def processes_of(session: int) -> list[int]:
    """Return the living processes of a session of processes."""
    found = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    rows = [line.split() for line in found.stdout.splitlines()]
    return [int(pid) for pid, state in rows if not state.startswith("Z")]


def check(image: Image) -> None:
    """Health, a cell in the folder of the data, and an end that leaves nothing behind."""
    with container(image) as (port, process):
        assert process.poll() is None
        wait_until(lambda: is_healthy(image, port))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            code = "import os, sys, remote_kernel; print(os.getcwd()); print(sys.prefix); print(remote_kernel.__file__)"
            where = stdout_of(run_in_pod(client, code)).split()
        assert where[0] == str(image.root / "mnt/data")
        assert all(path.startswith(str(image.root / "opt/pod")) for path in where[1:])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        wait_until(lambda: processes_of(process.pid) == [])
    assert not is_healthy(image, port)


def make_image(folder: Path, run: InTheTestEnvironment | ForReal) -> Image:
    context = folder / "context"
    shutil.copytree(PROJECT, context, ignore=_ignored)
    build = Build(context, folder, PATHS, run)
    images = [build.make(name, instructions) for name, instructions in stages(INSTRUCTIONS)]
    # The environment was made in the other stage's folder, and knows itself by that name.
    _move_environment(folder / "build/opt/pod", images[-1].root / "opt/pod")
    return images[-1]


def _ignored(folder: str, names: list[str]) -> list[str]:
    base = os.path.relpath(folder, PROJECT)
    paths = {name: name if base == "." else f"{base}/{name}" for name in names}
    holds = {rule[1:].split("/")[0] for rule in RULES if rule.startswith("!")}
    return [name for name, path in paths.items() if ignores(RULES, path) and path not in holds]


def _move_environment(old: Path, new: Path) -> None:
    for script in (new / "bin").iterdir():
        if script.is_file() and not script.is_symlink() and str(old).encode() in script.read_bytes():
            script.write_bytes(script.read_bytes().replace(str(old).encode(), str(new).encode()))
    shutil.rmtree(old)


@pytest.mark.slow
def test_what_the_dockerfile_makes_runs_cells_and_ends(tmp_path: Path) -> None:
    run = InTheTestEnvironment()
    check(make_image(tmp_path, run))
    assert run.skipped == ["apt-get", "useradd"]


@pytest.mark.image
def test_what_the_dockerfile_makes_of_its_own_packages_runs_cells_and_ends(tmp_path: Path) -> None:
    check(make_image(tmp_path, ForReal()))
