"""Saves and restores against a real pod: whole or not at all, whatever happens to the line, the pod and the disks."""

import asyncio
import dataclasses
import hashlib
import io
import json
import os
import secrets
import signal
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import psutil
import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.saves.fetching import Fetcher
from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.program import PACKAGE, program_archive
from remote_kernel.client.saves.progress import SaveProgress, Step
from remote_kernel.client.saves.remote_calls import BUSY, GONE, OLD_AGENT, PodInterpreter
from remote_kernel.client.saves.restoring import Restoring
from remote_kernel.client.saves.saving import Saving
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import NothingToSave, NotWritten, PoolError, SaveError, SessionBusy, SessionLost
from remote_kernel.core.identity import Identifier
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.objects import MAX_CONTENT_BYTES, MAX_FILE_BYTES, Object
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.save import Save
from remote_kernel.core.wire.frames import SESSION_PATH
from remote_kernel.core.wire.saves import SAVES_FOLDER, CallProgress, CallState, Report, SaveLimits
from tests.client.pod_folder import PodFolder
from tests.client.serving import Answer, serve
from tests.core.saves.examples import MANIFEST, object_of
from tests.driver import TIMEOUT_SECONDS, Pod, PodProgram, is_alive, run_in_pod, stdout_of, wait_until
from tests.faults.proxy import FaultProxy, Plan

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OWNER = Owner.of(bytes(32), user="ada", notebook="/home/ada/report.ipynb", pod_kernel="python3")
CUTS = 3

# A value whose pickling goes on until a file is there.
SLOW = """
class Slow:
    def __reduce__(self):
        import os, time
        open('begun', 'w').close()
        while not os.path.exists('go-on'): time.sleep(0.01)
        return Slow, ()
slow = Slow()"""

SLOW_TO_LOAD = """
class Slow:
    def __init__(self): self.value = 1
    def __setstate__(self, state):
        import os, time
        open('begun', 'w').close()
        while not os.path.exists('go-on'): time.sleep(0.01)
        self.__dict__.update(state)
slow = Slow()"""

# A library beside which no interpreter is forked.
NO_FORK = "__import__('sys').modules['pycuda'] = __import__('sys')"


class Notebook:
    """A notebook whose kernel in the pod is its own."""

    def __init__(self, pod: Pod, endpoint: str = "") -> None:
        self.pod = pod
        self.endpoint = endpoint or pod.endpoint
        self.patience_seconds = 20.0
        self.kernel = secrets.token_hex(4)
        self.run("pass")
        self.epoch = self.newest_epoch()

    def run(self, code: str) -> str:
        with self._client() as client:
            return stdout_of(run_in_pod(client, code, kernel=self.kernel))

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.pod.endpoint, timeout=TIMEOUT_SECONDS)

    def newest_epoch(self) -> str:
        with self._client() as client:
            kernels = client.get(SESSION_PATH).raise_for_status().json()["kernels"]
        return next(str(kernel["epoch"]) for kernel in kernels if kernel["name"] == self.kernel)

    def restart(self) -> None:
        """Lose all variables."""
        self.run("import os; os._exit(1)")
        self.run("pass")
        self.epoch = self.newest_epoch()

    @property
    def data(self) -> Path:
        return self.pod.scratch / "data"

    @property
    def files_of_saves(self) -> set[str]:
        return {path.name for path in (self.data / SAVES_FOLDER).iterdir()}

    @property
    def interpreter(self) -> PodInterpreter:
        return PodInterpreter(kernel=self.kernel, epoch=self.epoch)

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(int(self.run("print(__import__('os').getpid())")))

    @asynccontextmanager
    async def route(self) -> AsyncIterator[PoolClient]:
        client = PoolClient(ConfiguredAccess(self.endpoint, "any"), Identifier("any-session"))
        try:
            yield client
        finally:
            await client.aclose()

    async def save(
        self, store: SaveStore, name: str = "", progress: SaveProgress | None = None, **limits: float
    ) -> Save:
        interpreter = PodInterpreter(kernel=self.kernel, epoch=self.epoch)
        async with self.route() as route:
            saving = Saving(
                route, interpreter, store, progress or SaveProgress(), patience_seconds=self.patience_seconds
            )
            return await saving.run(name, limits=SaveLimits(**{"total_seconds": 60.0, **limits}))  # type: ignore[arg-type]

    async def restore(
        self, save: Save, store: SaveStore, *names: str, force: bool = False, progress: SaveProgress | None = None
    ) -> Report:
        interpreter = PodInterpreter(kernel=self.kernel, epoch=self.epoch)
        async with self.route() as route:
            restoring = Restoring(
                route, interpreter, store, progress or SaveProgress(), patience_seconds=self.patience_seconds
            )
            return await restoring.run(save, names, force=force)

    async def begin_slow_save(self, store: SaveStore, progress: SaveProgress | None = None) -> "asyncio.Task[Save]":
        """Begin a save that goes on until the file 'go-on' is there."""
        self.run(SLOW)
        task = asyncio.create_task(self.save(store, progress=progress))
        await until((self.data / "begun").exists)
        return task


async def until(is_true: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, is_true)


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture
def notebook(pod: Pod) -> Iterator[Notebook]:
    yield Notebook(pod)
    for name in ("begun", "go-on"):
        (pod.scratch / "data" / name).unlink(missing_ok=True)


@pytest.fixture
def store(tmp_path: Path) -> SaveStore:
    return SaveStore(SavesFolder(path=tmp_path / "remote-kernel" / "saves"), OWNER)


def restored(report: Report) -> list[str]:
    assert report.lost == []
    return sorted(each.name for each in report.restored)


async def test_variables_come_back_in_another_interpreter(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("a = [1, 2]; b = {'a': a}; text = 'é'; data = bytes(300_000)")
    progress = SaveProgress()
    save = await notebook.save(store, "first", progress)
    assert (save.name, save.manifest.saved, save.manifest.lost_count) == ("first", 4, 0)
    assert (progress.has_snapshot, progress.fraction) == (True, 1.0)
    notebook.restart()
    report = await notebook.restore(save, store)
    assert restored(report) == ["a", "b", "data", "text"]
    assert notebook.run("print(a is b['a'], text, len(data))") == "True é 300000\n"
    assert notebook.files_of_saves == {program_archive()[0]}, "nothing stays but the program"


async def test_what_has_not_changed_is_not_fetched_again(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("import os; large = os.urandom(6_000_000); small = 1; del os")
    first, again, other = SaveProgress(), SaveProgress(), SaveProgress()
    await notebook.save(store, progress=first)
    await notebook.save(store, progress=again)
    notebook.run("small = 2")
    save = await notebook.save(store, progress=other)
    assert first.transfer.moved > 6_000_000
    assert max(again.transfer.moved, other.transfer.moved) < 100_000
    notebook.restart()
    await notebook.restore(save, store)
    assert notebook.run("print(small, len(large))") == "2 6000000\n"


async def test_what_is_named_comes_back_and_nothing_else_is_sent(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("import os; large, other, small = os.urandom(6_000_000), os.urandom(2_000_000), 1; del os")
    save = await notebook.save(store)
    notebook.restart()
    progress = SaveProgress()
    assert restored(await notebook.restore(save, store, "other", progress=progress)) == ["other"]
    assert 2_000_000 < progress.transfer.moved < 3_000_000
    assert notebook.run("print('large' in globals(), len(other))") == "False 2000000\n"
    with pytest.raises(SaveError, match="has no variable 'nothing'"):
        await notebook.restore(save, store, "nothing")


async def test_what_is_named_comes_with_what_it_cannot_do_without(notebook: Notebook, store: SaveStore) -> None:
    notebook.run(
        "import os\nclass Model:\n    def name(self): return 'a model'\n"
        "model = Model(); model.data = os.urandom(800_000); large = os.urandom(2_000_000); del os"
    )
    save = await notebook.save(store)
    notebook.restart()
    progress = SaveProgress()
    assert restored(await notebook.restore(save, store, "model", progress=progress)) == ["model"]
    assert progress.transfer.moved < 1_500_000
    assert notebook.run("print(model.name(), len(model.data))") == "a model 800000\n"


async def test_other_values_are_replaced_only_by_force(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("x = [1]")
    save = await notebook.save(store)
    notebook.run("x = [2]; y = 3")
    assert (await notebook.restore(save, store)).conflicts == ["x"]
    assert notebook.run("print(x)") == "[2]\n"
    assert restored(await notebook.restore(save, store, force=True)) == ["x"]
    assert notebook.run("print(x, y)") == "[1] 3\n"


async def test_what_was_sent_for_a_save_that_is_not_restored_goes_with_the_one_that_is(
    notebook: Notebook, store: SaveStore
) -> None:
    files = notebook.files_of_saves
    notebook.run("x = [1]")
    first = await notebook.save(store)
    notebook.run("x = [2]")
    second = await notebook.save(store)
    notebook.run("x = [3]")
    assert (await notebook.restore(first, store)).conflicts == ["x"]
    assert restored(await notebook.restore(second, store, force=True)) == ["x"]
    assert notebook.files_of_saves == files


async def test_other_versions_are_told_before_anything_is_loaded(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("class Ending:\n    def __reduce__(self): return (__import__('os')._exit, (1,))\nx = 1")
    save = add_of_python_3_1(store, await notebook.save(store))
    notebook.run("x = 2")
    report = await notebook.restore(save, store)
    assert (report.conflicts, [text.split()[0] for text in report.warnings]) == (["x"], ["Python", "no_such"])
    notebook.run("x = Ending()")
    save = add_of_python_3_1(store, await notebook.save(store))
    notebook.restart()
    progress = SaveProgress()
    with pytest.raises((SessionLost, SaveError), match=r"\. Beware: Python is 3\.\d.*, and 1 more\.$"):
        await notebook.restore(save, store, progress=progress)
    assert progress.describe(0).endswith(", and 1 more.")


def add_of_python_3_1(store: SaveStore, save: Save) -> Save:
    manifest = dataclasses.replace(save.manifest, python="3.1.0", libraries={"no_such": "1"})
    return store.add(manifest, now=save.saved_at + 1, notebook="", pod_kernel="")


async def test_a_line_that_is_cut_in_mid_save_and_mid_restore_costs_nothing(
    pod: Pod, notebook: Notebook, store: SaveStore
) -> None:
    notebook.run("import os; large = os.urandom(6_000_000); many = {n: os.urandom(100) for n in range(100)}; del os")
    with FaultProxy.before(pod.endpoint) as proxy:
        notebook.endpoint = proxy.endpoint
        proxy.plan = lambda number: Plan(cut_down_after=800_000 if number < CUTS else None)
        save = await notebook.save(store)
        assert proxy.connections > CUTS
    notebook.run("import hashlib; check = hashlib.sha256(large).hexdigest(); print(check, file=open('check', 'w'))")
    notebook.restart()
    with FaultProxy.before(pod.endpoint) as proxy:
        notebook.endpoint = proxy.endpoint
        proxy.plan = lambda number: Plan(cut_up_after=800_000 if number < CUTS else None)
        report = await notebook.restore(save, store)
        assert proxy.connections > CUTS
    assert restored(report) == ["large", "many"]
    look = "import hashlib; print(hashlib.sha256(large).hexdigest() == open('check').read().strip(), len(many))"
    assert notebook.run(look) == "True 100\n"


@pytest.mark.parametrize("dies", ["pod", "interpreter"])
async def test_a_save_that_is_cut_off_leaves_the_one_before(store: SaveStore, dies: str) -> None:
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod:
        notebook = Notebook(pod)
        notebook.run("x = [1]; data = bytes(100_000)")
        before = await notebook.save(store)
        objects = store.known()
        notebook.run("data = __import__('os').urandom(100_000)")
        notebook.patience_seconds = 2.0
        pid = pod.process.pid if dies == "pod" else notebook.process.pid
        task = await notebook.begin_slow_save(store)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(PoolError if dies == "pod" else SaveError):
            await task
    assert (store.list(), store.known()) == ([before], objects)
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod:
        notebook = Notebook(pod)
        assert restored(await notebook.restore(before, store)) == ["data", "x"]
        assert notebook.run("print(x, data == bytes(100_000))") == "[1] True\n"


async def test_a_save_that_is_interrupted_ends_there_and_leaves_nothing(notebook: Notebook, store: SaveStore) -> None:
    process, files = notebook.process, notebook.files_of_saves
    task = await notebook.begin_slow_save(store)
    children = process.children(recursive=True)
    assert children
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(is_alive(child.pid) for child in children))
    await until(lambda: notebook.files_of_saves == files)
    assert store.list() == []
    assert notebook.run("print(type(slow).__name__)") == "Slow\n"


async def test_a_restore_that_is_interrupted_ends_there_and_can_be_made_again(
    notebook: Notebook, store: SaveStore
) -> None:
    notebook.run(SLOW_TO_LOAD)
    save = await notebook.save(store)
    notebook.restart()
    task = asyncio.create_task(notebook.restore(save, store))
    await until((notebook.data / "begun").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notebook.run("print('slow' in globals())") == "False\n"
    (notebook.data / "go-on").touch()
    assert restored(await notebook.restore(save, store, force=True)) == ["Slow", "slow"]
    assert notebook.run("print(slow.value)") == "1\n"


async def test_cells_run_while_a_snapshot_is_saved_and_do_not_change_it(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("x = 1")
    progress = SaveProgress()
    task = await notebook.begin_slow_save(store, progress)
    await until(lambda: progress.has_snapshot)
    notebook.run("x = 2")
    (notebook.data / "go-on").touch()
    save = await task
    await notebook.restore(save, store, "x", force=True)
    assert notebook.run("print(x)") == "1\n"


async def test_where_no_snapshot_can_be_made_the_interpreter_saves_and_can_be_interrupted(
    notebook: Notebook, store: SaveStore
) -> None:
    notebook.run(NO_FORK)
    task = await notebook.begin_slow_save(store)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notebook.run("print('on')") == "on\n"
    (notebook.data / "go-on").touch()
    progress = SaveProgress()
    save = await notebook.save(store, progress=progress)
    assert (progress.has_snapshot, save.problem) == (False, "")


async def test_a_session_that_runs_something_is_not_saved(notebook: Notebook, store: SaveStore) -> None:
    code = "import os, time\nwhile not os.path.exists('go-on'): time.sleep(0.01)"
    cell = asyncio.create_task(asyncio.to_thread(notebook.run, f"open('begun', 'w').close()\n{code}"))
    await until((notebook.data / "begun").exists)
    with pytest.raises(SessionBusy) as raised:
        await notebook.save(store)
    assert str(raised.value) == BUSY
    (notebook.data / "go-on").touch()
    await cell
    await notebook.save(store)


async def test_a_session_without_variables_is_no_save(notebook: Notebook, store: SaveStore) -> None:
    with pytest.raises(NothingToSave, match="the session has no variables"):
        await notebook.save(store)
    assert store.list() == []


async def test_an_interpreter_that_was_replaced_is_told(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("x = 1")
    save = await notebook.save(store)
    epoch = notebook.epoch
    notebook.restart()
    notebook.epoch = epoch
    for attempt in (notebook.save(store), notebook.restore(save, store)):
        with pytest.raises(SessionLost) as raised:
            await attempt
        assert str(raised.value) == GONE
    assert store.list() == [save]


@pytest.mark.parametrize(
    "value", ["numpy.random.rand(400_000)", "numpy.random.bytes(3_000_000)"], ids=["array", "bytes"]
)
async def test_a_full_disk_there_is_told(notebook: Notebook, store: SaveStore, value: str) -> None:
    notebook.run("x = 1")
    before = await notebook.save(store)
    # As a full disk does, a limit of the system lets no more be written.
    notebook.run(f"import numpy, resource; data = {value}")
    notebook.run("resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))")
    with pytest.raises(SaveError, match="cannot be written to the pod's disk: File too large"):
        await notebook.save(store)
    assert store.list() == [before]
    notebook.run("del data")
    await notebook.save(store)


async def test_a_store_that_takes_nothing_is_told(notebook: Notebook, store: SaveStore, tmp_path: Path) -> None:
    (tmp_path / "remote-kernel").write_bytes(b"")
    with pytest.raises(NotWritten, match="Saves cannot be written"):
        await notebook.save(store)


def damage(store: SaveStore, *objects: Object) -> None:
    for each in objects:
        path = store.object_path(each.hash)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


async def test_a_save_that_was_changed_here_is_not_restored(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("x = [1]")
    save = await notebook.save(store)
    notebook.restart()
    damage(store, *save.manifest.objects)
    with pytest.raises(SaveError, match="was changed or is damaged"):
        await notebook.restore(save, store)
    assert notebook.run("print('x' in globals())") == "False\n"


async def test_what_is_damaged_here_costs_what_is_in_it_and_no_more(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("import os, numpy; x = [1]; array = numpy.ones(100_000); large = {1: os.urandom(5_000_000)}; del os")
    save = await notebook.save(store)
    notebook.restart()
    array = object_of(b"\0\0\0\0\0\0\xf0?" * 100_000)
    (pack,) = (pack for pack in save.manifest.packs if len(pack) > 1)
    damage(store, array, pack[-1])
    report = await notebook.restore(save, store)
    assert sorted(each.name for each in report.restored) == ["numpy", "x"]
    reasons = {each.name: each.reason for each in report.lost}
    assert reasons["large"] == "is in a part of the save that is damaged or missing"
    assert array.hash[:12] in reasons["array"]
    assert sum("was changed or is damaged" in warning for warning in report.warnings) == 2
    assert notebook.run("print(x, 'array' in globals(), 'large' in globals())") == "[1] False False\n"
    assert restored(await notebook.restore(save, store, "x", force=True)) == ["x"]


async def test_a_report_that_is_none_is_told_as_what_it_is(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("x = [1]")
    save = await notebook.save(store)
    notebook.run(
        f"program = __import__('sys').modules[{PACKAGE!r}]\ncall = program.call\n"
        "program.call = lambda name, given: '{\"lost\": 1}' if name == 'restore' else call(name, given)"
    )
    with pytest.raises(SaveError, match=r"says of the restore cannot be read .*Look which are there"):
        await notebook.restore(save, store, force=True)


async def test_what_is_damaged_here_is_fetched_again_by_the_next_save(notebook: Notebook, store: SaveStore) -> None:
    notebook.run("import os; data = os.urandom(1_000_000); del os")
    first = await notebook.save(store)
    store = SaveStore(SavesFolder(path=store.folder.parent), OWNER)
    damage(store, *first.manifest.objects)
    store.object_path(first.manifest.objects[0].hash).write_bytes(b"")
    save = await notebook.save(store)
    assert store.damaged([each.hash for each in save.manifest.objects]) == []
    notebook.restart()
    assert restored(await notebook.restore(save, store)) == ["data"]


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "NotFound", "There is no POST at this path."),
        (400, "BadRequest", "The pod's agent does not know this request."),
    ],
    ids=["of an image", "brought along"],
)
async def test_an_agent_that_does_not_know_of_saves_is_told(
    notebook: Notebook, store: SaveStore, status: int, code: str, message: str
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer:
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        return status, {"content-type": "application/json"}, body

    with serve(answer) as port:
        notebook.endpoint = f"http://127.0.0.1:{port}"
        with pytest.raises(SaveError) as raised:
            await notebook.save(store)
    assert str(raised.value) == OLD_AGENT


def test_the_archive_has_the_program_under_another_name_and_what_it_needs() -> None:
    name, content = program_archive()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        sources = {name: archive.read(name).decode() for name in names}
    assert {name.partition("/")[0] for name in names} == {PACKAGE, "cloudpickle", "dill"}
    assert "remote_kernel.namespace" not in "".join(sources.values())
    assert f"{PACKAGE}/__init__.py" in names
    assert not [name for name in names if "tests" in name]
    for path, source in sources.items():
        compile(source, path, "exec")
    assert name.startswith("program-")


def test_each_step_says_what_is_done() -> None:
    progress = SaveProgress()
    assert (progress.describe(0), progress.fraction) == ("asking the session", 0.0)
    progress.begin(Step.TAKING)
    progress.hear(CallState(pod="p", is_done=False, progress=CallProgress(name="x", done=1, total=4)))
    assert progress.describe(0) == "taking the variables apart in the session: 1 of 4"
    assert (progress.name, progress.has_snapshot) == ("x", False)
    progress.hear(CallState(pod="p", is_done=False, answer={"mode": "fork"}))
    progress.warnings = ["numpy is 2.4.6 in the session", "pandas is not in the session"]
    assert progress.describe(0).endswith("in the session. Beware: numpy is 2.4.6 in the session, and 1 more.")
    progress.warnings = []
    progress.begin(Step.FETCHING)
    progress.transfer.files, progress.transfer.bytes, progress.transfer.bytes_done = 2, 200, 100
    assert (progress.fraction, progress.name, progress.has_snapshot) == (0.75, "", True)
    assert progress.describe(0) == "100 B of 200 B"


class Lying:
    """A session that has saved something else than it says."""

    def __init__(self, root: Path, store: SaveStore) -> None:
        self.root = root
        self.store = store
        self.transfer = Progress(is_upload=False)
        self.fetcher = Fetcher(PatientFiles(RemoteFiles(PodFolder(root, piece_bytes=1000)), self.transfer, 0.1))

    async def fetch(self, objects: Mapping[str, bytes], size: int) -> None:
        """Fetch objects, given as their files, that are said to have this size."""
        folder = self.root / "job/objects"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in objects.items():
            (folder / name).write_bytes(content)
        said = [Object(name, size) for name in objects]
        with self.store.keeping_objects():
            await self.fetcher.fetch_objects("job", await self.fetcher.list("job"), said, self.store)

    async def fetch_manifest(self, manifest: bytes, max_bytes: int = 1000) -> Manifest:
        (self.root / "job").mkdir(exist_ok=True)
        (self.root / "job/manifest.json").write_bytes(manifest)
        return await self.fetcher.fetch_manifest("job", await self.fetcher.list("job"), max_bytes)


@pytest.fixture
def lying(tmp_path: Path, store: SaveStore) -> Lying:
    return Lying(tmp_path / "pod", store)


@pytest.mark.parametrize("size", [10, 5000])
async def test_objects_that_are_not_what_their_names_say_are_refused(lying: Lying, size: int) -> None:
    right, wrong = bytes(size), bytes([1]) * size
    objects = {hashlib.sha256(right).hexdigest(): b"\0" + right, hashlib.sha256(wrong).hexdigest(): b"\0" + right}
    with pytest.raises(SaveError, match="is not what it should be"):
        await lying.fetch(objects, size)


async def test_an_object_that_is_larger_than_one_may_be_is_not_fetched(lying: Lying) -> None:
    with pytest.raises(SaveError, match="does not have what it has saved"):
        await lying.fetch({"a" * 64: bytes(MAX_FILE_BYTES + 1)}, MAX_CONTENT_BYTES)
    assert lying.transfer.moved == 0


async def test_an_object_of_another_size_than_the_manifest_says_is_not_kept(lying: Lying) -> None:
    right = bytes(1000)
    objects = {hashlib.sha256(right).hexdigest(): b"\0" + right}
    with pytest.raises(SaveError, match="does not have what it has saved"):
        await lying.fetch(objects, 1)
    assert lying.transfer.moved == 0
    with pytest.raises(SaveError, match="another size than its manifest says"):
        await lying.fetch(objects, 1001)


async def test_a_save_of_more_than_was_asked_for_is_not_fetched(lying: Lying) -> None:
    manifest = json.dumps(MANIFEST.to_json()).encode()
    assert await lying.fetch_manifest(manifest, MANIFEST.bytes) == MANIFEST
    with pytest.raises(SaveError, match="larger than it may be"):
        await lying.fetch_manifest(manifest, MANIFEST.bytes - 1)


@pytest.mark.parametrize(
    "manifest",
    [b"{}", b"[", b'{"format": 2}', b'{"format": 1, "objects": [["..", 1]]}'],
    ids=["empty", "no JSON", "newer", "path"],
)
async def test_a_manifest_that_is_none_is_refused(lying: Lying, manifest: bytes) -> None:
    with pytest.raises(SaveError, match="is not what it should be"):
        await lying.fetch_manifest(manifest)
    with pytest.raises(SaveError, match="does not have what it has saved"):
        await lying.fetcher.fetch_manifest("job", {}, 1000)
