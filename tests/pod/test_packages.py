"""Packages of a real pod: what its interpreter says of itself, and wheels that are installed for it."""

import ensurepip
import json
import platform
import secrets
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from remote_kernel.core.wire import files
from remote_kernel.core.wire.frames import PACKAGES_PATH
from remote_kernel.core.wire.packages import WHEELS_FOLDER, Installed, Order, Packages, Wheel
from remote_kernel.pod.packages.pod_packages import Described
from remote_kernel.pod.packages.program import ProgramFailed
from tests.driver import TIMEOUT_SECONDS, Content, Pod, PodProgram, run_in_pod, stdout_of
from tests.wheels import make_wheel, sha256_of


def describe(client: httpx.Client, **params: str) -> Packages:
    return Packages.from_json(client.get(PACKAGES_PATH, params=params).raise_for_status().json())


@pytest.mark.parametrize("output", ["", "{}", "[]", "[" * 100_000])
def test_interpreter_that_does_not_say_what_it_is_is_told(output: str) -> None:
    with pytest.raises(ProgramFailed):
        Described.parse(output, "pod-1")


def send(client: httpx.Client, path: Path) -> Wheel:
    content, sha256 = path.read_bytes(), sha256_of(path)
    params = {"path": f"{WHEELS_FOLDER}/{path.name}", "size": f"{len(content)}", "sha256": sha256, "offset": "0"}
    client.post(files.CONTENT_PATH, params=params, content=content).raise_for_status()
    return Wheel(name=path.name, sha256=sha256)


def order(client: httpx.Client, *wheels: Wheel, job: str = "", installer: str = "", **params: str) -> Installed:
    """Give an order and ask until it is done."""
    job = job or secrets.token_hex(8)
    body = json.dumps(Order(wheels=[*wheels], installer=installer).to_json())
    while True:
        answer = client.post(PACKAGES_PATH, params={"job": job, **params}, content=body).raise_for_status()
        installed = Installed.from_json(answer.json())
        if installed.is_done:
            return installed


def changes(installed: Installed) -> list[tuple[str, str, str]]:
    assert installed.problem == "", installed.lines
    return [(change.name, change.before, change.after) for change in installed.changes]


def run(client: httpx.Client, code: str, **params: str) -> str:
    return stdout_of(run_in_pod(client, code, **params))


def test_the_interpreter_says_what_it_is_and_has(client: httpx.Client, pod: Pod) -> None:
    told = describe(client)
    assert told.python == platform.python_version()
    assert (told.implementation, told.abi) == ("cp", f"cp{sys.version_info[0]}{sys.version_info[1]}")
    assert any("linux" in name or "macosx" in name for name in told.platforms)
    assert told.markers["sys_platform"] == sys.platform
    assert told.markers["python_version"] == ".".join(map(str, sys.version_info[:2]))
    assert told.installed["ipykernel"] == version("ipykernel")
    assert told.installer == f"pip {version('pip')}"


def test_a_wheel_is_found_by_an_interpreter_that_ran_before(client: httpx.Client, tmp_path: Path) -> None:
    assert run(client, "import importlib.util; print(importlib.util.find_spec('rk_first'))") == "None\n"
    wheel = send(client, make_wheel(tmp_path, "rk-first"))
    assert changes(order(client, wheel)) == [("rk-first", "", "1.0")]
    assert run(client, "import rk_first; print(rk_first.version)") == "1.0\n"
    assert describe(client).installed["rk-first"] == "1.0"


def test_an_upgrade_replaces_what_was_installed_and_nothing_of_the_image(
    client: httpx.Client, pod: Pod, tmp_path: Path
) -> None:
    own = {"rk_up/old.py": "", "rk_up/__init__.py": "", "shared/rk_one.py": ""}
    order(client, send(client, make_wheel(tmp_path, "rk-up", "1.0", files=own)))
    other = send(client, make_wheel(tmp_path, "rk-other", files={"shared/rk_two.py": ""}))
    newer = send(client, make_wheel(tmp_path, "rk-up", "2.0", files={"rk_up/__init__.py": "", "shared/rk_one.py": ""}))
    tqdm = send(client, make_wheel(tmp_path, "tqdm", "99.0"))
    done = order(client, other, newer, tqdm)
    before = version("tqdm")
    assert changes(done) == [("rk-other", "", "1.0"), ("rk-up", "1.0", "2.0"), ("tqdm", before, "99.0")]
    code = "import shared.rk_one, shared.rk_two, importlib.util as u; print(u.find_spec('rk_up.old'))"
    assert run(client, code, kernel="fresh") == "None\n"
    assert version("tqdm") == before
    assert run(client, "import tqdm; print(tqdm.version)", kernel="fresh") == "99.0\n"


def test_what_is_there_is_not_installed_again_and_wheels_do_not_stay(
    client: httpx.Client, pod: Pod, tmp_path: Path
) -> None:
    path = make_wheel(tmp_path, "rk-once")
    wheel = send(client, path)
    job = secrets.token_hex(8)
    first = order(client, wheel, job=job)
    assert changes(first) == [("rk-once", "", "1.0")]
    assert order(client, wheel, job=job) == first, "an answer that was lost is asked for again"
    assert changes(order(client, wheel)) == [], "and another kernel that wants the same is told that it is there"
    assert not (pod.scratch / "data" / WHEELS_FOLDER).exists()


def test_what_was_not_sent_is_named_and_nothing_done(client: httpx.Client, tmp_path: Path) -> None:
    sent = send(client, make_wheel(tmp_path, "rk-sent"))
    other = Wheel(name="rk_sent-1.0-py3-none-any.whl", sha256="0" * 64)
    missing = Wheel(name="rk_missing-1.0-py3-none-any.whl", sha256="0" * 64)
    assert order(client, sent, missing).missing == [missing.name]
    assert order(client, other).missing == [other.name]
    assert "rk-sent" not in describe(client).installed


def test_what_the_installer_says_is_told(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "rk_bad-1.0-py3-none-any.whl").write_bytes(b"no archive")
    done = order(client, send(client, tmp_path / "rk_bad-1.0-py3-none-any.whl"))
    assert done.problem == "The installer in the session has failed."
    assert any("rk_bad" in line or "rk-bad" in line for line in done.lines)
    assert done.changes == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"wheels": [{"name": "../../x-1-py3-none-any.whl", "sha256": "0" * 64}]}, 400),
        ({"wheels": [{"name": "-rfile-1-py3-none-any.whl", "sha256": "0" * 64}]}, 400),
        ({"wheels": [{"name": "x-1-py3-none-any.whl", "sha256": "x"}]}, 400),
        ({"wheels": 1}, 400),
    ],
)
def test_an_order_of_no_wheels_is_refused(client: httpx.Client, body: Content, status: int) -> None:
    answer = client.post(PACKAGES_PATH, params={"job": "a"}, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "WireError")


def test_other_languages_and_other_pods_are_told(client: httpx.Client) -> None:
    answer = client.get(PACKAGES_PATH, params={"kernelspec": "nosuch"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (424, "NotPython")
    answer = client.get(PACKAGES_PATH, params={"pod": "pod-of-yesterday"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "PodMismatch")


@pytest.fixture
def bare(private_folders: Path, tmp_path: Path) -> str:
    """The kernelspec of an interpreter that has nothing at all; pods that are started later know it as well."""
    venv.create(tmp_path / "bare", with_pip=False)
    argv = [str(tmp_path / "bare/bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    folder = private_folders / "data/kernels/bare"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Bare", "language": "python"}))
    return "bare"


@pytest.mark.slow
def test_an_interpreter_without_pip_uses_one_that_was_sent(bare: str, tmp_path: Path) -> None:
    (pip,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
    ):
        told = describe(client, kernelspec=bare)
        assert (told.installer, told.installed, bool(told.platforms)) == ("", {}, True)
        wheel = send(client, make_wheel(tmp_path, "rk-bare"))
        done = order(client, wheel, installer=send(client, pip).name, kernelspec=bare)
        assert changes(done) == [("rk-bare", "", "1.0")]
        assert describe(client, kernelspec=bare).installed == {"rk-bare": "1.0"}
        assert "rk-bare" not in describe(client).installed
