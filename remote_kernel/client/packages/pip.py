"""pip on this machine, asked for wheels of another: with the user's own index, proxy, login and cache settings.

uv can look for versions, and cannot download wheels. It brings pip along, where this environment has none.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from remote_kernel.client.packages.addresses import file_name
from remote_kernel.client.packages.resolution import Found
from remote_kernel.client.packages.wheel_cache import WheelCache
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import TransferError, UsageError
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire.packages import WHEEL, Packages, normalized

# So many of pip's last lines are looked at.
MAX_LINES = 200

NO_PIP = (
    "To find packages for the session, this environment needs pip, and has neither that nor uv: "
    "'python -m ensurepip' installs it."
)

_NO_MATCH = re.compile(r"ERROR: No matching distribution found for (?P<name>.+)")
_VERSIONS = re.compile(r"\(from versions: (?P<versions>.*)\)$")
_NO_WAY = re.compile(r"Retrying \(Retry\(|Could not fetch URL|ProxyError|NewConnectionError|Failed to establish")


def pip_command(*, has_module: bool, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """Return what runs pip; raises `UsageError` where nothing does.

    Args:
        has_module: whether this environment has it.
        which: finds a program.
    """
    if has_module:
        # Without the current folder on its path: a notebook's may be a stranger's, with a "pip" or "json" of its own.
        return [sys.executable, "-P", "-m", "pip"]
    if uv := which("uv"):
        return [uv, "tool", "run", "pip"]
    if pip := which("pip3") or which("pip"):
        return [pip]
    raise UsageError(NO_PIP)


class Pip:
    """Finds and downloads wheels for the interpreter of a pod.

    Args:
        options: of pip, from requirement files.
        environ: of its process; `None` for ours.
        hear: given each line that it says.
    """

    def __init__(
        self, target: Packages, cache: WheelCache, *, options: Sequence[str] = (),
        environ: Mapping[str, str] | None = None, hear: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self._target = target
        self._cache = cache
        self._options = options
        self._environ = environ
        self._hear = hear

    async def find(self, lines: Sequence[str]) -> list[Found]:
        """Return the best wheel for each line; raises `UsageError` where there is none, or pip fails."""
        with tempfile.TemporaryDirectory(prefix="rk-") as name:
            report = Path(name) / "report.json"
            options = ["--dry-run", "--ignore-installed", "--no-user", "--report", str(report), "--target", name]
            await self._run("install", lines, options, Path(name))
            return _parse_report(report)

    async def fetch(self, found: Sequence[Found]) -> list[Path]:
        """Return the files of wheels, downloaded where they are not here; raises `UsageError`."""
        await asyncio.to_thread(self._cache.trim)  # before, as what comes now may be more than is kept
        paths = [await asyncio.to_thread(self._look, each) for each in found]
        missing = [each for each, path in zip(found, paths, strict=True) if path is None]
        downloaded = await self._download(missing) if missing else {}
        return [path or downloaded[each.name] for each, path in zip(found, paths, strict=True)]

    def _look(self, found: Found) -> Path | None:
        """Return the wheel where it is on this machine."""
        if found.url.startswith("file:"):
            return Path(url2pathname(urlsplit(found.url).path))
        return self._cache.get(file_name(found.url), found.sha256)

    async def _download(self, found: Sequence[Found]) -> dict[str, Path]:
        """Download wheels into the cache, and return them by name."""
        lines = [f"{each.name} @ {each.url}" if each.is_direct else f"{each.name}=={each.version}" for each in found]
        with tempfile.TemporaryDirectory(prefix="rk-") as name:
            folder = Path(name) / "wheels"
            await self._run("download", lines, ["--dest", str(folder)], Path(name))
            paths = await asyncio.to_thread(lambda: [self._cache.put(path) for path in sorted(folder.glob("*.whl"))])
        by_name = {normalized(path.name.partition("-")[0]): path for path in paths}
        for each in found:
            if each.name not in by_name or (each.sha256 and by_name[each.name].parent.name != each.sha256):
                raise TransferError(f"The index sends another file for {each.name} {each.version} than it has told of.")
        return by_name

    async def _run(self, command: str, lines: Sequence[str], options: Sequence[str], folder: Path) -> None:
        """Run pip to its end; raises `UsageError` that says why it has failed."""
        if odd := next((line for line in lines if not line.isprintable() or "${" in line), None):
            # pip would take it for several lines, with options, or put in a variable of this machine.
            raise UsageError(f"'{shown(odd)}' is no requirement that pip is given: it has characters with a meaning.")
        wanted = folder / "wanted.txt"
        wanted.write_text("\n".join(lines), encoding="utf-8")
        target = self._target
        where = [
            "--python-version", target.python, "--implementation", target.implementation, "--abi", target.abi,
            *(word for platform in target.platforms for word in ("--platform", platform)),
        ]  # fmt: skip
        words = [
            *pip_command(has_module=find_spec("pip") is not None), "--disable-pip-version-check", "--no-input", command,
            "--no-deps", "--progress-bar", "off", "--only-binary=:all:", *where, *self._options, *options,
            "-r", str(wanted),
        ]  # fmt: skip
        status, said = await _run(words, self._environ, self._hear)
        if status:
            raise UsageError(explain(said, target))


async def _run(
    words: Sequence[str], environ: Mapping[str, str] | None, hear: Callable[[str], None]
) -> tuple[int, list[str]]:  # fmt: skip
    """Run a program to its end, or until this task is cancelled; return its status and last lines."""
    # A process of asyncio's own needs an event loop that ZeroMQ cannot use on Windows.
    process = subprocess.Popen(  # noqa: ASYNC220 - the start alone is done here
        words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    said: list[str] = []

    def listen() -> int:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                hear(one_line(line.strip()))
                said.append(line.rstrip())
                del said[:-MAX_LINES]
        return process.wait()

    try:
        return await asyncio.to_thread(listen), said
    finally:
        if process.returncode is None:
            process.kill()


def explain(said: Sequence[str], target: Packages) -> str:
    """Return the sentence for what pip has said when it failed."""
    text = "\n".join(said)
    if _NO_WAY.search(text):
        last = next(line for line in reversed(said) if _NO_WAY.search(line))
        return f"pip cannot reach the package index from this machine: {one_line(last)[:300]}"
    if match := _NO_MATCH.search(text):
        name = one_line(match["name"].strip())
        versions = _VERSIONS.search("\n".join(line for line in said if "from versions" in line))
        there = versions["versions"] if versions else "none"
        pod = f"Python {target.python} on {target.platforms[0] if target.platforms else 'its platform'}"
        if there == "none":
            return (
                f"There is no wheel of '{name}' for the session ({pod}). Where there is such a package, build a wheel "
                "of it on a machine like that, with 'pip wheel --no-deps', and give its path instead of the name."
            )
        newest = ", ".join(there.split(", ")[-5:])
        return f"No version of '{name}' can be had for the session ({pod}): the newest wheels for it are of {newest}."
    errors = [line.removeprefix("ERROR:").strip() for line in said if line.startswith("ERROR:")] or list(said[-1:])
    return f"pip has failed on this machine: {one_line(' '.join(errors))[:1000] or 'it does not say why'}"


def _parse_report(path: Path) -> list[Found]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return [_parse_item(item) for item in report["install"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("pip on this machine has found nothing: 'pip install --upgrade pip' may help.") from None


def _parse_item(item: dict[str, Any]) -> Found:
    metadata, info = item["metadata"], item["download_info"]
    hashes = info.get("archive_info", {}).get("hashes", {})
    name = normalized(metadata["name"])
    if not WHEEL.fullmatch(file_name(info["url"])):
        raise UsageError(f"What is at {info['url']} is no wheel: build one, and give its path.")
    return Found(
        name=name, version=metadata["version"], url=info["url"], is_direct=item["is_direct"],
        sha256=hashes.get("sha256", ""), requires=tuple(metadata.get("requires_dist", ())),
    )  # fmt: skip
