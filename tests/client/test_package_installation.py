"""Packages from this machine to a real pod: found, downloaded, sent, installed; and what is told where that fails."""

import os
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.transfer import Patience, PieceSize, Progress
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.packages.installation import HAS_ALL, Installation, InstallProgress, Outcome, Step
from remote_kernel.client.packages.local_distributions import distribution_of
from remote_kernel.client.packages.pip import Pip, explain, pip_command
from remote_kernel.client.packages.remote_packages import RemotePackages
from remote_kernel.client.packages.requirements import parse_wanted
from remote_kernel.client.packages.wheel_cache import WheelCache
from remote_kernel.core.errors import SessionLost, TransferError, UsageError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.wire.frames import PACKAGES_PATH
from remote_kernel.core.wire.packages import Installed, Order
from tests.client.serving import Answer, serve
from tests.client.test_package_resolution import POD
from tests.driver import Pod, run_in_pod, stdout_of
from tests.faults.proxy import FaultProxy, Plan
from tests.wheels import make_wheel, sha256_of, use_index

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ANOTHER_SYSTEM = "win32" if sys.platform != "win32" else "linux"


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip finds packages."""
    use_index(tmp_path / "index", monkeypatch)
    return tmp_path / "index"


class Counting(PoolClient):
    """A client that notes its requests."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.requests: list[str] = []

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        self.requests.append(f"{method} {path}")
        return await super().request(method, path, **options)


@asynccontextmanager
async def client_of(endpoint: str) -> AsyncIterator[Counting]:
    client = Counting(ConfiguredAccess(endpoint, "any"), Identifier("any-session"))
    try:
        yield client
    finally:
        await client.aclose()


async def install(endpoint: str, *names: str, cache: Path, files: tuple[str, ...] = ()) -> tuple[Outcome, list[str]]:
    """Install packages, and return what has changed and the requests that it took."""
    async with client_of(endpoint) as client:
        installation = Installation(client, "python3", InstallProgress(), cache=cache, patience_seconds=30)
        outcome = await installation.run(parse_wanted(names, files, Path.cwd()))
        return outcome, client.requests


def changes(outcome: Outcome) -> list[str]:
    return [f"{change.name} {change.before}>{change.after}" for change in outcome.changes]


async def test_what_is_missing_comes_with_what_that_needs_and_is_there_at_once(
    pod: Pod, index: Path, tmp_path: Path
) -> None:
    make_wheel(index, "rk-leaf", "1.0")
    make_wheel(index, "rk-leaf", "2.0")
    needs = ["rk-leaf<2", "ipykernel", f'rk-nowhere; sys_platform == "{ANOTHER_SYSTEM}"']
    make_wheel(index, "rk-top", requires=needs)
    outcome, _ = await install(pod.endpoint, "rk-top", cache=tmp_path / "cache")
    assert changes(outcome) == ["rk-leaf >1.0", "rk-top >1.0"]
    assert outcome.summarise() == "Installed 2 packages in the session: rk-leaf 1.0, rk-top 1.0."
    again, requests = await install(pod.endpoint, "rk-top", "rk-leaf", cache=tmp_path / "cache")
    assert (changes(again), requests, again.summarise()) == ([], [f"GET {PACKAGES_PATH}"], HAS_ALL)
    newer, _ = await install(pod.endpoint, "rk-leaf>=2", cache=tmp_path / "cache")
    assert newer.summarise() == (
        "Installed 1 package in the session: rk-leaf 2.0 (was 1.0). "
        "A kernel that has imported rk-leaf already has to be restarted."
    )


async def test_the_target_s_wheels_are_chosen_and_not_this_machine_s(index: Path, tmp_path: Path) -> None:
    here = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    make_wheel(index, "rk-native", "1.0", tag="cp313-cp313-manylinux_2_28_aarch64")
    make_wheel(index, "rk-native", "1.5", tag="cp313-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64")
    make_wheel(index, "rk-native", "2.0", tag=f"{here}-{here}-linux_x86_64")
    make_wheel(index, "rk-native", "2.0", tag="cp313-cp313-win_amd64")
    target = replace(
        POD, python="3.13.1", abi="cp313",
        platforms=["manylinux_2_36_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64"],
    )  # fmt: skip
    pip = Pip(target, WheelCache(tmp_path / "cache"))
    (found,) = await pip.find(["rk-native"])
    assert found.version == "1.5"
    (path,) = await pip.fetch([found])
    assert path.name == "rk_native-1.5-cp313-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"


async def test_what_has_no_wheel_for_the_pod_is_named_with_what_can_be_done(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "rk-native", "2.0", tag="cp312-cp312-win_amd64")
    make_wheel(index, "rk-old", "1.0")
    pip = Pip(POD, WheelCache(tmp_path / "cache"))
    with pytest.raises(UsageError) as raised:
        await pip.find(["rk-native"])
    assert str(raised.value) == (
        "There is no wheel of 'rk-native' for the session (Python 3.12.4 on manylinux_2_36_x86_64). Where there is "
        "such a package, build a wheel of it on a machine like that, with 'pip wheel --no-deps', and give its path "
        "instead of the name."
    )
    with pytest.raises(UsageError) as raised:
        await pip.find(["rk-old>=2"])
    assert "No version of 'rk-old>=2' can be had for the session" in str(raised.value)
    assert str(raised.value).endswith("the newest wheels for it are of 1.0.")


@pytest.mark.parametrize(
    ("programs", "command"),
    [(["uv", "pip"], ["/bin/uv", "tool", "run", "pip"]), (["pip3", "pip"], ["/bin/pip3"]), (["pip"], ["/bin/pip"])],
)
def test_an_environment_without_pip_uses_uv_s_or_another(programs: list[str], command: list[str]) -> None:
    assert pip_command(has_module=False, which=lambda name: f"/bin/{name}" if name in programs else None) == command
    assert pip_command(has_module=True, which=lambda name: None) == [sys.executable, "-P", "-m", "pip"]
    with pytest.raises(UsageError, match="needs pip, and has neither that nor uv"):
        pip_command(has_module=False, which=lambda name: None)


def test_an_index_that_cannot_be_reached_is_not_taken_for_an_empty_one() -> None:
    said = [
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'ProxyError('no')': /simple/x/",
        "ERROR: Could not find a version that satisfies the requirement x (from versions: none)",
        "ERROR: No matching distribution found for x",
    ]
    assert explain(said, POD).startswith("pip cannot reach the package index from this machine: WARNING: Retrying")


async def test_an_own_wheel_goes_by_its_path(pod: Pod, index: Path, tmp_path: Path) -> None:
    make_wheel(index, "rk-beside")
    path = make_wheel(tmp_path / "dist", "rk-own", requires=["rk-beside"])
    outcome, _ = await install(pod.endpoint, str(path), cache=tmp_path / "cache")
    assert changes(outcome) == ["rk-beside >1.0", "rk-own >1.0"]
    again, _ = await install(pod.endpoint, str(path), cache=tmp_path / "cache")
    assert changes(again) == []


async def test_checksums_of_a_file_are_held(pod: Pod, index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index, "rk-hashed")
    file = tmp_path / "r.txt"
    file.write_text(f"rk-hashed==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(TransferError, match=r"rk-hashed 1\.0 has none of the checksums"):
        await install(pod.endpoint, files=(str(file),), cache=tmp_path / "cache")
    file.write_text(f"rk-hashed==1.0 --hash=sha256:{sha256_of(wheel)}\nrk-other\n")
    make_wheel(index, "rk-other")
    with pytest.raises(UsageError, match=r"rk-other 1\.0 is needed as well, and the requirements have no checksum"):
        await install(pod.endpoint, files=(str(file),), cache=tmp_path / "cache")
    file.write_text(f"rk-hashed==1.0 --hash=sha256:{sha256_of(wheel)}\n")
    outcome, _ = await install(pod.endpoint, files=(str(file),), cache=tmp_path / "cache")
    assert changes(outcome) == ["rk-hashed >1.0"]


async def test_a_line_that_is_cut_costs_nothing_but_time(pod: Pod, index: Path, tmp_path: Path) -> None:
    blob = os.urandom(600_000).hex()
    make_wheel(index, "rk-large", files={"rk_large.py": f"blob = '{blob}'\nsize = len(blob)"})
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_up_after=200_000 if number < 3 else None)
        outcome, _ = await install(proxy.endpoint, "rk-large", cache=tmp_path / "cache")
    assert changes(outcome) == ["rk-large >1.0"]
    assert outcome.sent_bytes > 1_000_000


async def test_another_pod_in_mid_installation_is_told(pod: Pod, index: Path, tmp_path: Path) -> None:
    make_wheel(index, "rk-lost")
    async with client_of(pod.endpoint) as client:
        installation = Installation(
            client, "python3", InstallProgress(), cache=tmp_path, patience_seconds=30, pod="pod-of-yesterday"
        )
        with pytest.raises(SessionLost, match="was replaced while packages were installed"):
            await installation.run(parse_wanted(["rk-lost"], [], tmp_path))


async def test_a_pod_that_is_never_done_is_given_up(index: Path) -> None:
    asked = []

    class NeverDone:
        async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
            asked.append(options["params"]["job"])
            return Installed(pod="pod-1", is_done=False).to_json()

    patience = Patience(Progress(is_upload=True), PieceSize(1), 1.0)
    remote = RemotePackages(NeverDone(), "python3", patience, order_seconds=1.2)  # type: ignore[arg-type]
    with pytest.raises(TransferError, match="does not come to an end"):
        await remote.install(Order(wheels=[]))
    assert 1 <= len(asked) <= 3
    assert len({*asked}) == 1


@pytest.fixture
def source(index: Path, tmp_path: Path) -> Path:
    """A package that is published as source alone, and says by a file "ran" that its code was run."""
    folder = tmp_path / "rk-source-1.0"
    folder.mkdir()
    (folder / "backend.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    build = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    (folder / "pyproject.toml").write_text(f"{build}[project]\nname = 'rk-source'\nversion = '1.0'\n")
    with tarfile.open(index / "rk-source-1.0.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    return folder


@pytest.mark.usefixtures("source")
async def test_no_code_of_a_package_runs_on_this_machine(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no wheel of 'rk-source'"):
        await Pip(POD, WheelCache(tmp_path / "cache")).find(["rk-source"])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("where", ["{index}/rk-source-1.0.tar.gz", "{source}"])
async def test_no_code_of_a_package_runs_here_that_was_asked_for_by_its_address(
    pod: Pod, index: Path, source: Path, where: str, tmp_path: Path
) -> None:
    requirement = f"rk-source @ file://{where.format(index=index, source=source)}"
    make_wheel(index, "rk-wants-source", requires=[requirement])
    file = tmp_path / "r.txt"
    for line in (requirement, "rk-wants-source"):
        file.write_text(line)
        with pytest.raises(UsageError, match=r"build a wheel of it|is no wheel on the web"):
            await install(pod.endpoint, files=(str(file),), cache=tmp_path / "cache")
    assert not (tmp_path / "ran").exists()


async def test_no_module_beside_the_notebook_runs_in_pip_s_place(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index, "rk-plain")
    (tmp_path / "notebooks").mkdir()
    for name in ("pip", "json", "optparse"):
        (tmp_path / f"notebooks/{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path / "notebooks")
    (found,) = await Pip(POD, WheelCache(tmp_path / "cache")).find(["rk-plain"])
    assert found.name == "rk-plain"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("line", ["x===${HOME}", "x\u2028--pre", "x\n--pre"])
async def test_pip_is_given_no_line_that_means_more_to_it(line: str, index: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no requirement that pip is given"):
        await Pip(POD, WheelCache(tmp_path / "cache")).find([line])


async def test_where_else_packages_were_looked_for_is_told(pod: Pod, index: Path, tmp_path: Path) -> None:
    path = make_wheel(tmp_path / "elsewhere", "rk-strange")
    make_wheel(index, "rk-stranger", requires=["rk-strange"])
    file = tmp_path / "r.txt"

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        if request.path == f"/{path.name}":
            return 200, {"content-type": "application/octet-stream"}, path.read_bytes()
        return 200, {"content-type": "text/html"}, f'<a href="/{path.name}">{path.name}</a>'.encode()

    with serve(answer) as port:
        file.write_text(f"--find-links http://127.0.0.1:{port}/\nrk-stranger\n")
        outcome, _ = await install(pod.endpoint, files=(str(file),), cache=tmp_path / "cache")
    assert outcome.summarise() == (
        "Installed 2 packages in the session: rk-strange 1.0, rk-stranger 1.0. What was asked for has packages "
        f"looked for at 127.0.0.1:{port}: who is there decides what they do."
    )


async def test_downloads_are_kept_by_checksum_up_to_a_size(tmp_path: Path) -> None:
    paths = [make_wheel(tmp_path, f"rk-{name}") for name in ("a", "b", "c")]
    hashes = [sha256_of(path) for path in paths]
    cache = WheelCache(tmp_path / "cache", max_bytes=paths[0].stat().st_size * 2 + 1)
    for number, path in enumerate(paths):
        os.utime(cache.put(path), (number, number))
    assert cache.get("rk_a-1.0-py3-none-any.whl", hashes[0]) is not None, "which was used last now"
    assert cache.get("rk_a-1.0-py3-none-any.whl", hashes[1]) is None
    cache.trim()
    names = ["rk_a", "rk_b", "rk_c"]
    kept = [
        cache.get(f"{name}-1.0-py3-none-any.whl", sha256) is not None
        for name, sha256 in zip(names, hashes, strict=True)
    ]
    assert kept == [True, False, True]
    (tmp_path / "cache" / "gone").mkdir()
    (tmp_path / "cache" / "gone" / "rk_d-1.0-py3-none-any.whl").symlink_to(tmp_path / "trimmed by another kernel")
    cache.trim()
    assert cache.get("rk_d-1.0-py3-none-any.whl", "gone") is None


def test_a_module_belongs_to_a_distribution() -> None:
    found = distribution_of("packaging.version")
    assert found is not None
    assert found.name == "packaging"
    assert distribution_of("rk_nosuch_module") is None
    assert distribution_of("sys") is None


def test_each_step_says_what_is_done() -> None:
    progress = InstallProgress()
    assert progress.describe(0) == "asking the session what it has"
    progress.step, progress.said = Step.FINDING, "Collecting numpy"
    assert progress.describe(0) == "finding packages for it, on this machine: Collecting numpy"
    assert 0 < progress.fraction < 1


async def test_code_that_ran_before_finds_it(pod: Pod, index: Path, tmp_path: Path) -> None:
    make_wheel(index, "rk-found")
    with httpx.Client(base_url=pod.endpoint, timeout=60) as client:
        run_in_pod(client, "import importlib.util; assert importlib.util.find_spec('rk_found') is None")
        await install(pod.endpoint, "rk-found", cache=tmp_path / "cache")
        assert stdout_of(run_in_pod(client, "import rk_found; print(rk_found.version)")) == "1.0\n"
