"""`make live`: all that can be found out about a real session pool, in one report that can be published.

Wants REMOTE_KERNEL_LIVE_ENDPOINT, and a login (`az login`) or REMOTE_KERNEL_LIVE_TOKEN. Takes a handful of sessions of
the pool, and gives them back.
"""

import argparse
import asyncio
import getpass
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.report import conditions
from remote_kernel.client.access import Endpoint, choose_access
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.pools.credential import read_claims
from remote_kernel.core.settings import Settings
from tests.live.door import Door, NoWayIn
from tests.live.questions import ask_all
from tests.live.redaction import names_of_pool, redact
from tests.live.report import Findings, read_junit
from tests.live.timings import ALLOCATIONS, CELLS, time_allocation, time_notebook

ROOT = Path(__file__).parents[2]
ENDPOINT, TOKEN = "REMOTE_KERNEL_LIVE_ENDPOINT", "REMOTE_KERNEL_LIVE_TOKEN"
# Of a token, that say who has it.
PERSONAL_CLAIMS = (
    "oid", "tid", "sub", "upn", "unique_name", "preferred_username", "email", "name", "given_name", "family_name",
    "appid", "app_displayname", "azp", "ipaddr", "deviceid", "puid", "sid", "uti",
)  # fmt: skip

# A suite that was interrupted ends its kernels, which give their sessions back.
GIVING_BACK_SECONDS = 60.0

PARTS = ("answers", "times", "contract", "notebooks")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.live", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--fill", type=int, default=0, metavar="N", help="take up to N sessions, to see a full pool")
    parser.add_argument("--cells", type=int, default=CELLS, help="how many to time (default: %(default)s)")
    parser.add_argument("--tests", default="", metavar="WORDS", help="of the contract suite, as pytest's -k")
    parser.add_argument("--notebooks", nargs="+", type=Path, default=[ROOT / "notebooks"], metavar="PATH")
    parser.add_argument("--output", type=Path, default=ROOT / ".build" / "live.md", help="default: %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(argv)
    if not os.environ.get(ENDPOINT):
        parser.exit(2, f"Set {ENDPOINT} to the pool management endpoint, and log in with 'az login'.\n")
    with tempfile.TemporaryDirectory(prefix="rk-live-") as folder:
        environ = _environ(Path(folder))
        try:
            endpoint = asyncio.run(_find(environ))
        except RemoteKernelError as error:
            parser.exit(1, f"There is no way into the pool: {error}\n")
        findings = Findings(conditions=conditions(["azure-identity", "httpx"]))
        try:
            _look(findings, endpoint, environ, options, Path(folder))
        except NoWayIn as error:
            _tell(str(error))
            findings.ended["The pool"] = str(error)
        except KeyboardInterrupt:
            findings.ended["What was not asked"] = "interrupted"
        known = _known(endpoint, environ)
        text = findings.to_markdown(lambda said: redact(said, known))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    print(f"The report is in {options.output}.")
    return 0 if findings.is_good else 1


def _environ(folder: Path) -> dict[str, str]:
    """Return an environment in which a kernel uses the pool, and Jupyter's folders of its own."""
    ours = ("REMOTE_KERNEL_", "JUPYTER_", "JPY_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("DATA", "RUNTIME", "CONFIG")}
    environ["REMOTE_KERNEL_ENDPOINT"] = os.environ[ENDPOINT]
    if token := os.environ.get(TOKEN):
        environ["REMOTE_KERNEL_TOKEN"] = token
    return environ


async def _find(environ: Mapping[str, str]) -> Endpoint:
    return await choose_access(Settings.from_environ(environ), environ).endpoint()


def _look(
    findings: Findings, endpoint: Endpoint, environ: Mapping[str, str], options: argparse.Namespace, folder: Path
) -> None:
    """Ask all that is wanted, and note what has ended a part early; raises `NoWayIn`."""
    if {"answers", "times"} & set(options.only):
        with _noting(findings, "Questions"):
            asyncio.run(_talk(findings, endpoint, options))
    if "times" in options.only:
        with _noting(findings, "Times of cells"):
            for name, text in time_notebook(environ, cells=options.cells, tell=_tell):
                findings.timings[name] = text
    if "contract" in options.only:
        words = f"[live] and ({options.tests})" if options.tests else "[live]"
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "contract", "-k", words, "tests/contract"]
        pool = {ENDPOINT: os.environ[ENDPOINT], TOKEN: os.environ.get(TOKEN, "")}
        _run_suite(findings, "Contract suite", command, "--junitxml", {**environ, **pool}, folder)
    if "notebooks" in options.only:
        command = ["-m", "remote_kernel.cli", "run", "--verify", *map(str, options.notebooks), "--jobs", "2"]
        _run_suite(findings, "Notebooks", command, "--junit", environ, folder)


@contextmanager
def _noting(findings: Findings, part: str) -> Iterator[None]:
    """Have a fault end one part, and not the others; of what nobody expected, the report gets the name alone."""
    try:
        yield
    except NoWayIn:
        raise
    except RemoteKernelError as error:
        findings.ended[part] = str(error)
    except Exception as error:
        traceback.print_exc()
        findings.ended[part] = f"ended by {type(error).__name__}"


async def _talk(findings: Findings, endpoint: Endpoint, options: argparse.Namespace) -> None:
    async with Door.open(endpoint) as door:
        findings.kind = door.kind
        if "times" in options.only:
            _tell("timing: sessions")
            with _noting(findings, "Times of sessions"):
                seconds = await time_allocation(door, ALLOCATIONS)
                findings.timings["first request of a new session"] = f"{seconds:.2f} s"
        if "answers" in options.only:
            await ask_all(door, findings.answers, fill=options.fill, tell=_tell)
    if door.left:
        findings.ended["Giving back"] = f"{door.left} sessions are left to the pool's cooldown"


def _run_suite(
    findings: Findings, name: str, command: Sequence[str], junit: str, environ: Mapping[str, str], folder: Path
) -> None:
    """Run a program that writes a report for CI, whose outcomes alone are taken; what it says is for this terminal."""
    _tell(f"running: {name}")
    report = folder / f"{name}.xml"
    with _noting(findings, name):
        try:
            status = _wait_ended([sys.executable, *command, junit, str(report)], environ)
        finally:
            if report.exists():
                findings.cases[name] = read_junit(report)
        if not report.exists() or (status and "failed" not in findings.cases[name].values()):
            findings.ended[name] = f"it ended with exit status {status}"


def _wait_ended(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program and return its exit status; a Ctrl-C is for the program, too, which gives its sessions back."""
    with subprocess.Popen(command, cwd=ROOT, env=dict(environ), stdout=sys.stderr) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                process.wait(GIVING_BACK_SECONDS)
            process.kill()
            raise


def _known(endpoint: Endpoint, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what is known to say whose pool it is, and who asks, with the labels to put there."""
    known = names_of_pool(endpoint.url)
    known[endpoint.token] = "<token>"
    claims = read_claims(endpoint.token)
    known |= {str(claims[name]): "<login>" for name in PERSONAL_CLAIMS if claims.get(name)}
    known |= {value: "<login>" for name, value in environ.items() if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))}
    known[socket.gethostname()] = known[socket.gethostname().partition(".")[0]] = "<machine>"
    known[str(Path.home())] = known[str(ROOT)] = "<path>"
    with suppress(OSError, KeyError):
        known[getpass.getuser()] = "<user>"
    return known


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
