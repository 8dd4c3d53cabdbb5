"""What every test gets: folders of its own, and, on request, a real pool and a real kernel."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.driver import Notebook, Pool
from tests.error_output import error_output, log_sections
from tests.unit import IS_WINDOWS, needs_unix, starts_processes

# By the clock, Hypothesis would take what waits for a processor for slow. What it tries is the same in each run, so
# that a change is judged by what it changes; "make explore" tries something else each time.
hypothesis.settings.register_profile("explore", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("test", hypothesis.settings.get_profile("explore"), derandomize=True)
hypothesis.settings.load_profile("test")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run tests in the loop that our programs have, which on Windows is not asyncio's own choice."""
    return "asyncio", {"loop_factory": asyncio.SelectorEventLoop}


@pytest.fixture(scope="session", autouse=True)
def no_signal_is_ignored() -> Iterator[None]:
    """Undo what nohup and shells do to jobs in the background, which the programs that a test starts would inherit."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if sys.platform != "win32":
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def private_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what outlives a test out of the caller's home too."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_private_home(tmp_path_factory.mktemp("home"), monkeypatch)
        yield


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a home of its own, and nothing of the caller's settings."""
    home = tmp_path_factory.mktemp("home")
    use_private_home(home, monkeypatch)
    yield home
    with contextlib.suppress(OSError):  # most tests put nothing in it, and pytest keeps the folders of three runs
        home.rmdir()


def use_private_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("REMOTE_KERNEL_", "JUPYTER", "JPY_"))]:
        monkeypatch.delenv(name)
    for name, folder in {
        "HOME": home,
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_CONFIG_DIR": home / "config",
        "IPYTHONDIR": home / "ipython",
    }.items():
        monkeypatch.setenv(name, str(folder))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    error_output.mark()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs of a test that has failed had to say."""
    report = yield
    if report.failed:
        report.sections += error_output.sections()
        if home := item.funcargs.get("private_folders"):
            report.sections += log_sections(Path(str(home)))
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what Windows does otherwise.

    Raises:
        pytest.UsageError: a test has another name in each process, so that several cannot share the tests.
    """
    if changing := [item.nodeid for item in items if " at 0x" in item.nodeid and not _is_told(item, " at 0x")]:
        raise pytest.UsageError(f"The address of an object is part of a test's name: {changing[0]}")
    if IS_WINDOWS:
        _leave_out(config, items, [item for item in items if item.get_closest_marker("unix")])


def _is_told(item: pytest.Item, text: str) -> bool:
    """Return whether a text is in a test's name because it is in a parameter that is text."""
    parameters = item.callspec.params.values() if isinstance(item, pytest.Function) else ()
    return any(isinstance(value, str) and text in value for value in parameters)


def _leave_out(config: pytest.Config, items: list[pytest.Item], left_out: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules alone that could not be loaded on Windows, and those that are not asked for; `None` leaves the
    decision to pytest."""
    if collection_path.suffix != ".py" or not collection_path.is_file():
        return None
    is_left_out = config.getoption("--unit") and starts_processes(collection_path)
    return True if is_left_out or (IS_WINDOWS and needs_unix(collection_path)) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="only the tests that start no process")
    parser.addoption("--flavor", default="custom", help="of the pool that the tests of a file share (%(default)s)")


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool with room for all the tests of one file."""
    with Pool.start("--max-sessions", "30", "--flavor", request.config.getoption("flavor")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_notebook(pool: Pool) -> Iterator[Notebook]:
    """One kernel for the tests of a file that leave it as they found it."""
    notebook = Notebook.start(environ=pool.environ())
    yield notebook
    notebook.close()


@pytest.fixture
def start_notebook(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Notebook]]:
    """Start kernels on the file's pool, see `Notebook.start`; other keyword arguments are the kernel's variables."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    started: list[Notebook] = []

    def start(kernel_name: str = "remote", *, is_program: bool = False, **environ: str) -> Notebook:
        started.append(Notebook.start(kernel_name, environ, is_program=is_program))
        return started[-1]

    yield start
    for notebook in started:
        notebook.close()


@pytest.fixture
def notebook(start_notebook: Callable[..., Notebook]) -> Notebook:
    """A kernel that is ready to run cells."""
    return start_notebook()
