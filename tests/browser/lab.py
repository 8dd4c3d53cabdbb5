"""JupyterLab as its user has it: a server of its own, and a notebook in a page of the browser."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import nbformat

from tests.driver import TIMEOUT_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KERNEL = "Python (remote session)"

_SETTINGS = {
    # JupyterLab's own questions to the network, and its invitation to read the news.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # It gives up on candidates after a second, which a busy machine can take.
    "@jupyterlab/completer-extension:manager": {"providerTimeout": 30_000},
}


@dataclass
class Lab:
    """A running JupyterLab.

    Attributes:
        folder: what its file browser shows.
    """

    url: str
    token: str = field(repr=False)
    folder: Path

    @classmethod
    @contextmanager
    def start(
        cls, home: Path, environ: Mapping[str, str], *, python: str | Path = sys.executable, options: Sequence[str] = ()
    ) -> Iterator["Lab"]:
        """Run a server whose files, settings and runtime folder are in `home`.

        Args:
            python: of the environment that has JupyterLab, and the kernel.
        """
        folders = {name: home / name for name in ("notebooks", "runtime", "config")}
        for folder in folders.values():
            folder.mkdir()
        overrides = folders["config"] / "labconfig" / "default_setting_overrides.json"
        overrides.parent.mkdir()
        overrides.write_text(json.dumps(_SETTINGS))
        command = [
            *(python, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={folders['notebooks']}"),
            # Nobody is to wait until a dead kernel is noticed.
            "--KernelRestarter.time_to_dead=0.5",
            "--LabApp.extension_manager=readonly",  # the other one asks PyPI
            *options,
        ]
        own = {"JUPYTER_RUNTIME_DIR": str(folders["runtime"]), "JUPYTER_CONFIG_DIR": str(folders["config"])}
        with (home / "server.log").open("w") as log:
            # Some extensions keep files of theirs in the current folder.
            process = subprocess.Popen(command, cwd=home, env={**os.environ, **own, **environ}, stdout=log, stderr=log)
        with process:
            try:
                yield cls._wait_started(process, folders["runtime"], folders["notebooks"])
            finally:
                process.terminate()
                process.wait(TIMEOUT_SECONDS)

    @classmethod
    def _wait_started(cls, process: "subprocess.Popen[bytes]", runtime: Path, notebooks: Path) -> "Lab":
        running = runtime / f"jpserver-{process.pid}.json"

        def is_written() -> bool:
            assert process.poll() is None, "the server has ended"
            return running.exists() and running.read_text().endswith("}")

        wait_until(is_written)
        fields = json.loads(running.read_text())
        return cls(url=fields["url"], token=fields["token"], folder=notebooks)

    def write_notebook(self, name: str, cells: tuple[str, ...]) -> None:
        """Put a notebook for the remote kernel into the folder."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(code) for code in cells],
            metadata={"kernelspec": {"name": "remote", "display_name": KERNEL, "language": "python"}},
        )
        nbformat.write(notebook, self.folder / name)

    def load(self, page: "Page") -> None:
        """Load the application afresh, with nothing open in it."""
        page.goto(f"{self.url}lab?reset&token={self.token}")
        page.locator(".jp-Launcher").wait_for()

    def shut_kernels_down(self) -> None:
        """Shut every kernel down, whatever the page shows."""
        with httpx.Client(
            base_url=self.url, headers={"authorization": f"token {self.token}"}, timeout=TIMEOUT_SECONDS
        ) as client:
            for session in client.get("/api/sessions").raise_for_status().json():
                client.delete(f"/api/sessions/{session['id']}").raise_for_status()


class OpenNotebook:
    """The one notebook that is open in the page, and what its user does with it."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.panel = page.locator(".jp-NotebookPanel")

    @classmethod
    def open(cls, page: "Page", name: str) -> "OpenNotebook":
        """Open a file by its name and wait until its kernel has answered."""
        notebook = cls(page)
        notebook.choose("File", "Open from Path…")
        page.locator(".jp-Dialog input").fill(name)
        notebook.confirm()
        notebook.wait_state("Idle")
        return notebook

    def choose(self, menu: str, item: str) -> None:
        """Choose an item of the menu bar."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=item).click()

    def press_button(self, name: str) -> None:
        """Press a button in the notebook's toolbar."""
        self.panel.get_by_role("button", name=name, exact=True).click()

    def confirm(self) -> None:
        """Say yes to the dialog that is open."""
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def state(self, state: str) -> "Locator":
        """Return where the status bar says that the kernel is in a state, such as "Idle".

        It tells of any request, so that "Busy" is not to be seen while a cell runs that another request has passed.
        """
        return self.page.get_by_role("button", name=f"{KERNEL} | {state}", exact=True)

    def wait_state(self, state: str) -> None:
        self.state(state).wait_for()

    def cell(self, index: int) -> "Locator":
        return self.panel.locator(".jp-Cell").nth(index)

    def output(self, index: int) -> "Locator":
        """Return all that a cell shows below its code."""
        return self.cell(index).locator(".jp-OutputArea")

    def prompt(self, index: int) -> "Locator":
        """Return the brackets with the cell's number, or a star while it runs."""
        return self.cell(index).locator(".jp-InputPrompt")

    def run(self, index: int) -> None:
        """Start a cell and stay on it."""
        self.prompt(index).click()
        self.page.keyboard.press("Control+Enter")

    def close(self) -> None:
        """Close the notebook and shut its kernel down."""
        self.choose("File", "Close and Shut Down Notebook")
        self.confirm()
        self.panel.wait_for(state="detached")
