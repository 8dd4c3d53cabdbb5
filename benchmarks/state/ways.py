"""Ways to save the variables of a notebook: this kernel, dill's sessions, and kishu, which saves behind each cell."""

import contextlib
import json
import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.front_end import FrontEnd, text_of
from benchmarks.local_kernel import LocalKernel
from tests.driver import Pool

# Of whoever pickles a gigabyte.
PATIENCE_SECONDS = 1800.0

OURS, DILL, KISHU = "this kernel", "dill", "kishu"


@dataclass
class Way:
    """A way to save, with a kernel.

    Attributes:
        saves: whether the cells that make a namespace have saved it already.
    """

    name: str
    folder: Path
    saves: bool = False
    _kernel: FrontEnd | None = field(default=None, repr=False)

    @property
    def kernel(self) -> FrontEnd:
        """The kernel; it is started where there is none."""
        if self._kernel is None:
            self._kernel = self.start()
            self._kernel.wait_ready()
            self._kernel.run("pass")
            self.begin(self._kernel)
        return self._kernel

    def start(self) -> FrontEnd:
        """Return a new kernel, which may not answer yet."""
        return FrontEnd(LocalKernel.start("python3", {}, self.folder), PATIENCE_SECONDS)

    def begin(self, kernel: FrontEnd) -> None:
        """Do what a user does first."""

    def save(self) -> None:
        """Save all variables."""
        raise NotImplementedError

    def size(self) -> int:
        """Return the bytes of all that has been saved."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def lose(self) -> None:
        """Lose the variables, and have a new interpreter."""
        self.close()
        _ = self.kernel

    def restore(self) -> str:
        """Bring the variables back, and return what is printed meanwhile."""
        raise NotImplementedError

    def close(self) -> None:
        """End the kernel."""
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()


@dataclass
class Ours(Way):
    """This kernel, whose session is in a pool on this machine."""

    pool: Pool | None = None
    notebook: str = ""

    def start(self) -> FrontEnd:
        assert self.pool is not None
        environ = {
            "REMOTE_KERNEL_ENDPOINT": self.pool.endpoint,
            "REMOTE_KERNEL_TOKEN": self.pool.token,
            "REMOTE_KERNEL_NOTEBOOK": self.notebook,
            "REMOTE_KERNEL_SAVES": str(self.folder),
            "REMOTE_KERNEL_SAVE_MAX_MB": "100000",
            "REMOTE_KERNEL_SAVE_SECONDS": "3600",
        }
        return FrontEnd(LocalKernel.start("remote", environ, self.folder), PATIENCE_SECONDS)

    def save(self) -> None:
        self.kernel.run("%session save")

    def lose(self) -> None:
        self.kernel.run("%session reset")
        self.kernel.run("pass")

    def restore(self) -> str:
        return text_of(self.kernel.run("%session restore"))


class Dill(Way):
    """ipykernel on this machine, with a cell that saves all of it into one file."""

    def save(self) -> None:
        """Write another file; the one before is of no use any more, but was written as well."""
        path = self.folder / f"{secrets.token_hex(4)}.pkl"
        self.kernel.run(f"import dill; dill.dump_session({str(path)!r})")

    def restore(self) -> str:
        newest = max(self.folder.glob("*.pkl"), key=lambda path: path.stat().st_mtime_ns)
        return text_of(self.kernel.run(f"import dill; dill.load_session({str(newest)!r})"))


@dataclass
class Kishu(Way):
    """ipykernel in an environment with kishu, which needs no front end in its mode for tests."""

    python: str = ""
    _commit: str = ""

    def start(self) -> FrontEnd:
        spec = Path(os.environ["JUPYTER_DATA_DIR"], "kernels", "kishu", "kernel.json")
        spec.parent.mkdir(parents=True, exist_ok=True)
        argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "kishu", "language": "python"}))
        (self.folder / "n.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        environ = {"ENV_KISHU_TEST_MODE": "1"}
        # As Jupyter Server names it: kishu looks for the kernel's id in there.
        file = str(self.folder / f"kernel-{uuid.uuid4()}.json")
        return FrontEnd(LocalKernel.start("kishu", environ, self.folder, connection_file=file), PATIENCE_SECONDS)

    def begin(self, kernel: FrontEnd) -> None:
        kernel.run(f"from kishu import init_kishu; init_kishu({str(self.folder / 'n.ipynb')!r})")

    def save(self) -> None:
        self._commit = text_of(self.kernel.run("print(_kishu.commit())")).split()[-1]

    def restore(self) -> str:
        return text_of(self.kernel.run(f"_kishu.checkout({self._commit!r}, skip_notebook=True)"))


@contextlib.contextmanager
def ways(folder: Path, kishu: str) -> Iterator[Mapping[str, Callable[[], Way]]]:
    """Give what makes each way anew, for a namespace of its own.

    Args:
        folder: for all that is saved.
        kishu: the Python of an environment with kishu; "" for none.
    """

    def place() -> Path:
        path = folder / secrets.token_hex(4)
        path.mkdir()
        return path

    with Pool.start("--max-sessions", "3") as pool:
        found: dict[str, Callable[[], Way]] = {
            OURS: lambda: Ours(OURS, place(), pool=pool, notebook=str(folder / f"{secrets.token_hex(4)}.ipynb")),
            DILL: lambda: Dill(DILL, place()),
        }
        if kishu:
            found[KISHU] = lambda: Kishu(KISHU, place(), saves=True, python=kishu)
        yield found


def seconds_of(task: Callable[[], object]) -> float:
    """Return how long a task takes."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began
