"""`jupyter console`, typed into by a user at a terminal."""

import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.driver import TIMEOUT_SECONDS, Pool, wait_until

PROMPT = r"In \[\d*\]: "


class Console:
    def __init__(self) -> None:
        command = ["-m", "jupyter_console", "--kernel", "remote", "--simple-prompt"]
        self._terminal = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=TIMEOUT_SECONDS)
        self._terminal.expect(PROMPT)

    def type(self, line: str, *expected: str) -> None:
        """Type a line and wait until these texts have followed one another, and the next prompt."""
        self._terminal.sendline(line)
        for text in (*expected, PROMPT):
            self._terminal.expect(text)

    def answer(self, line: str, question: str, answer: str) -> None:
        self._terminal.sendline(line)
        self._terminal.expect(f"\n{question}")  # the line itself is shown, too
        self.type(answer)

    def interrupt(self, line: str, sign: str) -> None:
        """Type a line and, when it has printed `sign`, Ctrl-C."""
        self._terminal.sendline(line)
        self._terminal.expect(f"\n{sign}")
        self._terminal.sendintr()
        self._terminal.expect("KeyboardInterrupt")
        self._terminal.expect(PROMPT)

    def leave(self) -> None:
        self._terminal.sendline("exit")
        self._terminal.expect(pexpect.EOF)
        self._terminal.wait()

    def close(self) -> None:
        self._terminal.close(force=True)


@pytest.fixture
def console(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    console = Console()
    yield console
    console.close()


ARROW_UP = "\x1b[A"


def test_arrow_up_in_a_fresh_console_shows_what_was_run_in_the_last_one(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    first = Console()
    first.type("print(40 + 1)", r"[\r\n]41")
    first.leave()
    wait_until(lambda: not pool.sessions())
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")  # nobody answers where the cursor is
    command = ["-m", "jupyter_console", "--kernel", "remote"]
    second = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=TIMEOUT_SECONDS, dimensions=(40, 120))
    try:
        second.expect(r"In \[")
        second.send(ARROW_UP)
        second.expect(r"40.{0,40}\+.{0,40}1")  # in colours
        assert pool.sessions() == []
    finally:
        second.close(force=True)


def test_a_console_runs_asks_is_interrupted_and_gives_its_session_back(console: Console, pool: Pool) -> None:
    assert pool.sessions() == []  # a prompt takes no session
    console.type("x = 20")
    console.type("print(x + 1)", "\n21")
    console.answer("name = input('Who are you? ')", question="Who are you", answer="Ada")
    console.type("print(name.upper())", "\nADA")
    console.interrupt("import time; print('sleeps'); time.sleep(60)", sign="sleeps")
    console.type("1 / 0", "ZeroDivisionError")
    assert len(pool.sessions()) == 1
    console.leave()
    wait_until(lambda: not pool.sessions())
