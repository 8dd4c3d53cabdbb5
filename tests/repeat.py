"""Runs of the whole suite in a row, to find the tests that need luck: `make repeat RUNS=20`."""

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

OUTPUT = Path(".build") / "repeat"

_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def run_once(path: Path) -> tuple[bool, list[str], str]:
    """Run `make test` with its output in `path`; return whether it passed, the failed tests, and pytest's last line."""
    with path.open("wb") as output:
        status = subprocess.run(["make", "test"], stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    text = path.read_text(encoding="utf-8", errors="replace")
    closing = re.findall(r"^=+ (.*(?:passed|failed|error).*) =+$", text, re.MULTILINE)
    return status == 0, _FAILURE.findall(text), closing[-1] if closing else f"make ended with status {status}"


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 20
    OUTPUT.mkdir(parents=True, exist_ok=True)
    failures: Counter[str] = Counter()
    passed = 0
    for number in range(1, runs + 1):
        is_passed, failed, closing = run_once(OUTPUT / f"run-{number:02}.txt")
        passed += is_passed
        failures.update(failed or ([] if is_passed else [closing]))
        print(f"{time.strftime('%H:%M:%S')}  run {number} of {runs}: {closing}", *failed, sep="\n    ", flush=True)
    print(f"{passed} of {runs} runs passed; what each printed is in {OUTPUT}.")
    for test, count in failures.most_common():
        print(f"{count} x {test}")
    return 0 if passed == runs else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
