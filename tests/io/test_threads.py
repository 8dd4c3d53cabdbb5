"""Threads for work that blocks: what comes of it arrives, and what hangs holds no process at its end."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from remote_kernel.io.threads import call_in_thread, in_own_thread
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio


async def test_what_comes_of_it_arrives() -> None:
    assert await in_own_thread(int, "12", base=3) == 5
    with pytest.raises(ValueError, match="invalid literal"):
        await in_own_thread(int, "x")
    thread = await in_own_thread(threading.current_thread)
    assert thread.daemon
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("failure", [None, OSError("the drive is gone")], ids=["done", "failed"])
async def test_who_gives_up_hears_nothing_of_it(failure: Exception | None) -> None:
    end = threading.Event()

    def work() -> None:
        end.wait(TIMEOUT_SECONDS)
        if failure is not None:
            raise failure

    working = call_in_thread("given up", work)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    end.set()
    for thread in threading.enumerate():
        if thread.name == "given up":
            await asyncio.to_thread(thread.join, TIMEOUT_SECONDS)
    await asyncio.sleep(0)  # what it has left in the loop, which would fail in it


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_process_ends_while_its_drive_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "drive")  # nobody ever writes to it
    program = f"""
import asyncio
from remote_kernel.io.system.event_loop import run_in_loop
from remote_kernel.io.threads import in_own_thread

async def main():
    reading = asyncio.create_task(in_own_thread(open, {str(tmp_path / "drive")!r}))
    done, _ = await asyncio.wait({{reading}}, timeout=0.1)
    print("hangs" if not done else "reads", flush=True)

run_in_loop(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("hangs\n", "", 0)
