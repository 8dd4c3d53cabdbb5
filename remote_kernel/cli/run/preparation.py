"""Checks before a run: that notebooks can be read and results be written."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from remote_kernel.cli.install.kernelspecs import is_ours
from remote_kernel.cli.run import notebook_files
from remote_kernel.cli.run.batch import Job
from remote_kernel.cli.run.execution import Plan
from remote_kernel.cli.run.notebook_folders import EXECUTED, find_notebooks
from remote_kernel.cli.run.parameters import check_names, inject, parse_value, read_parameters, unknown_names
from remote_kernel.cli.run.result_files import check_writable
from remote_kernel.cli.run.session_lock import LockFile
from remote_kernel.cli.verify.comparison import has_outputs
from remote_kernel.cli.verify.ignored_differences import own_patterns
from remote_kernel.client.files.local_paths import current_folder
from remote_kernel.core.errors import UsageError
from remote_kernel.core.settings import Settings

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec
    from nbformat import NotebookNode


def prepare(arguments: argparse.Namespace) -> list[Job]:
    """Return what the command line asks for.

    Raises:
        UsageError: a notebook cannot be read, a result could not be written where the user wants it, there is no such
            kernel, a setting of it cannot be used, or options contradict one another.
    """
    current_folder()  # which jupyter_client asks for, whatever the paths
    paths = find_notebooks(arguments.notebooks)
    is_one = paths == arguments.notebooks and len(paths) == 1  # and not the only one in a folder
    _check_options(arguments, is_one=is_one)
    parameters = _read_parameters(arguments)
    lock = None if arguments.lock is None else LockFile.open(arguments.lock)
    spec = _find_kernel(arguments.kernel, has_parameters=bool(parameters))
    jobs = [_prepare_job(arguments, path, parameters, lock, is_one=is_one) for path in paths]
    _check_results(jobs, arguments.junit)
    if is_ours(spec):
        _check_settings(spec, jobs[0].plan)
    return jobs


def _check_options(arguments: argparse.Namespace, *, is_one: bool) -> None:
    if arguments.verify and arguments.output is not None:
        raise UsageError("--verify writes no notebook: leave out --output, or run without --verify")
    for name, folder in (("--output", arguments.output), ("--html", arguments.html)):
        if folder is not None and not is_one and not folder.is_dir():
            raise UsageError(f"{name} must be a folder for several notebooks, and {folder} is none")


def _read_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    from_file = read_parameters(arguments.parameters_file) if arguments.parameters_file is not None else {}
    parameters = from_file | {name: parse_value(value) for name, value in arguments.parameters}
    check_names(parameters)
    return parameters


def _find_kernel(name: str, *, has_parameters: bool) -> "KernelSpec":
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        raise UsageError(f"there is no Jupyter kernel named {name!r}: see 'jupyter kernelspec list'") from None
    if has_parameters and spec.language != "python":
        raise UsageError(
            f"parameters can be given to Python notebooks, and the language of {name!r} is {spec.language}"
        )
    return spec


def _check_settings(spec: "KernelSpec", plan: Plan) -> None:
    """Find out before anything runs what the kernel would say in the first cell; raises `UsageError`."""
    from remote_kernel.client.access import choose_access
    from remote_kernel.kernel.folders import Folders
    from remote_kernel.kernel.identity.decision import identifier_of
    from remote_kernel.kernel.identity.identity_key import load_key
    from remote_kernel.kernel.launch.options import LaunchOptions

    # A kernelspec may name variables of the environment, which Jupyter puts in.
    own = {name: Template(value).safe_substitute(plan.environ) for name, value in spec.env.items()}
    environ = {**plan.environ, **own}
    settings = Settings.from_environ(environ)
    choose_access(settings, environ)
    LaunchOptions(settings=settings, environ=environ, notebook=str(plan.path)).read()
    identifier_of(str(plan.path), settings, environ, lambda: load_key(environ, Folders.of_user().data))


def _prepare_job(
    arguments: argparse.Namespace, path: Path, parameters: dict[str, Any], lock: LockFile | None, *, is_one: bool
) -> Job:  # fmt: skip
    notebook = notebook_files.read_notebook(path)
    if parameters:
        inject(notebook, parameters)
        _tell_unknown(path, unknown_names(notebook, parameters))
    if arguments.verify and not has_outputs(notebook):
        raise UsageError(
            f"{path} has no stored outputs to compare with: save it with its outputs, "
            f"or execute it in place with 'remote-kernel run {path} -o {path}'"
        )
    if arguments.verify:
        _check_patterns(notebook, path)
    return Job(
        path=path,
        notebook=notebook,
        plan=Plan(
            path=path.parent.resolve() / path.name,
            kernel=arguments.kernel,
            environ=arguments.environ,
            cell_seconds=arguments.cell_seconds,
            allow_errors=arguments.allow_errors,
            lock=lock,
        ),
        output=None if arguments.verify else _output(arguments.output, path, is_one=is_one),
        html=arguments.html if is_one or arguments.html is None else arguments.html / f"{path.stem}.html",
        is_verified=arguments.verify,
    )


def _check_patterns(notebook: "NotebookNode", path: Path) -> None:
    """Raise `UsageError` for a pattern of the user's that is none, before anything runs."""
    try:
        own_patterns(notebook.metadata, *(cell.metadata for cell in notebook.cells))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _output(given: Path | None, path: Path, *, is_one: bool) -> Path:
    if given is None:
        return path.parent / f"{path.stem}.{EXECUTED}.ipynb"
    return given if is_one else given / path.name


def _tell_unknown(path: Path, names: list[str]) -> None:
    for name in names:
        print(f"remote-kernel: note: no cell of {path} tagged 'parameters' sets {name!r}", file=sys.stderr)


def _check_results(jobs: Iterable[Job], junit: Path | None) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.html is not None:
            notebook_files.check_html_is_possible()
        for path in (job.output, job.html):
            if path is None:
                continue
            check_writable(path)
            if (other := seen.get(path.resolve())) is not None:
                raise UsageError(f"results of {other} and of {job.path} would both go to {path}")
            seen[path.resolve()] = job.path
    if junit is not None:
        check_writable(junit)
