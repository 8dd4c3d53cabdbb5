"""Saves of one session, in this process, with a real pool: by itself, while a cell runs, and before the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.core.saves.save import Save
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.saves.autosave import Autosave, Pace
from remote_kernel.kernel.saves.session_saves import SessionSaves
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session
from tests.client.front_end import FrontEnd, run
from tests.driver import TIMEOUT_SECONDS, Pool, wait_until
from tests.kernel.test_session import make_session

pytestmark = pytest.mark.anyio

AT_ONCE = Pace(idle_seconds=0.0, rest_seconds=0.0, rest_factor=0.0)

# Its pickling begins with a file, and goes on until there is another one.
SLOW = """
class Slow:
    def __reduce__(self):
        import os, time
        open("begun", "w").close()
        while not os.path.exists("end"):
            time.sleep(0.01)
        return (list, ())
slow = Slow()
"""


@dataclass
class Notebook:
    """A session, and its saves."""

    session: Session
    front_end: FrontEnd
    saves: SessionSaves

    async def run(self, code: str) -> str:
        """Run a cell as the relay does; return all that was printed so far."""
        self.saves.autosaving.note_busy(True)
        assert self.session.link is not None
        await run(self.session.link, self.front_end, code)
        self.saves.autosaving.note_busy(False)
        return self.front_end.printed()


@asynccontextmanager
async def notebook_of(pool: Pool, name: str, folder: Path) -> AsyncIterator[Notebook]:
    session, front_end, attachment = make_session(pool.endpoint, pool.token, name, folder), FrontEnd(), Attachment()
    saves = SessionSaves(session, attachment, Hints(), lambda: {"data.csv": "0" * 64}, print, Autosave(AT_ONCE))
    notebook = Notebook(session, front_end, saves)
    try:
        link = await session.open(front_end.take, Hints())
        await run(link, front_end, "a = 41")
        attachment.succeed(front_end.hellos[-1])
        yield notebook
    finally:
        await saves.autosaving.aclose()
        await session.release()


async def test_a_notebook_saves_itself_while_its_cells_go_on(pool: Pool, tmp_path: Path) -> None:
    async with notebook_of(pool, "saves-in-process", tmp_path) as notebook:
        await notebook.run(SLOW)
        notebook.saves.autosaving.switch(is_on=True)
        await asyncio.to_thread(wait_until, lambda: notebook.saves.autosaving.has_snapshot)
        said = "while not __import__('os').path.exists('begun'): pass\nprint('meanwhile')"
        assert await notebook.run(said) == "meanwhile\n"
        assert notebook.saves.autosaving.has_snapshot
        assert await notebook.saves.list() == []
        await notebook.run("a = 42; open('end', 'w').close()")

        store = await notebook.saves.store()
        await asyncio.to_thread(wait_until, lambda: bool(store.list()))
        save = store.find()
        assert save.files == {"data.csv": "0" * 64}
        assert {each.name for each in (await notebook.saves.contents(save)).restored} == {"a", "Slow", "slow"}


async def test_what_has_changed_is_saved_at_the_end(pool: Pool, tmp_path: Path) -> None:
    async with notebook_of(pool, "saves-at-the-end", tmp_path) as notebook:
        notebook.saves.autosaving.state.is_on = True
        await notebook.saves.autosaving.finish(within_seconds=TIMEOUT_SECONDS)
        assert await notebook.saves.list() == []  # nothing has run since the first cell
        await notebook.run("b = 42")
        await notebook.saves.autosaving.finish(within_seconds=TIMEOUT_SECONDS)
        (save,) = await notebook.saves.list()
        assert {each.name for each in (await notebook.saves.contents(save)).restored} == {"a", "b"}


async def test_what_was_lost_is_meant_until_it_is_restored(pool: Pool, tmp_path: Path) -> None:
    async def save_by_itself(notebook: Notebook, code: str) -> Save:
        await notebook.run(code)
        notebook.saves.autosaving.state.is_on = True
        await notebook.saves.autosaving.finish(within_seconds=TIMEOUT_SECONDS)
        newest = await notebook.saves.newest()
        assert newest is not None
        return newest

    async with notebook_of(pool, "saves-next", tmp_path) as notebook:
        lost = await save_by_itself(notebook, "b, c, d = 1, 2, 3")
        assert await notebook.saves.choose() == lost
    async with notebook_of(pool, "saves-next", tmp_path) as notebook:
        assert (await save_by_itself(notebook, "e = 4")).id != lost.id
        assert await notebook.saves.choose() == lost
        await notebook.saves.restore(lost, ["b"], SaveProgress(), is_forced=True)
        assert (await save_by_itself(notebook, "e = 5")).id != lost.id
        assert await notebook.saves.choose() == lost
        await notebook.saves.restore(lost, (), SaveProgress(), is_forced=True)
        assert await save_by_itself(notebook, "del b, c, d") == await notebook.saves.choose()


async def test_what_takes_too_long_at_the_end_is_dropped_whole(pool: Pool, tmp_path: Path) -> None:
    async with notebook_of(pool, "saves-dropped", tmp_path) as notebook:
        first = await notebook.saves.save(SaveProgress(), "first")
        await notebook.run(SLOW)
        notebook.saves.autosaving.state.is_on = True
        await notebook.saves.autosaving.finish(within_seconds=0.5)
        assert [save.id for save in await notebook.saves.list()] == [first.id]
        assert (await notebook.run("print(a)")).endswith("41\n")
