"""Saves that nobody asked for: begun in the background, given up for a cell, told when they fail, and never late."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from remote_kernel.core.errors import SaveError
from remote_kernel.kernel.saves.autosave import Autosave, Pace
from remote_kernel.kernel.saves.autosaving import Autosaving

pytestmark = pytest.mark.anyio

AT_ONCE = Pace(idle_seconds=0.0, rest_seconds=0.0, rest_factor=0.0)


@dataclass
class Work:
    """A save under way."""

    has_snapshot: bool = False


class Notebook:
    """A notebook whose saves last until the test ends them.

    Attributes:
        saves: how many were begun.
        ended: what became of each.
    """

    def __init__(self, pace: Pace = AT_ONCE, *, has_snapshot: bool = False, is_reachable: bool = True) -> None:
        self.is_reachable = is_reachable
        self.saves = 0
        self.ended: list[str] = []
        self.told: list[str] = []
        self.work = Work(has_snapshot)
        self.begun = asyncio.Event()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept_until = time.monotonic() + 1e6
        self.autosaving = Autosaving(
            lambda: kept_until if self.is_reachable else None, self._save, self.told.append, Autosave(pace)
        )
        self.autosaving.switch(is_on=True)

    async def _save(self) -> None:
        self.saves += 1
        self.begun.set()
        try:
            await self.autosaving.noting(self.work, lambda: asyncio.shield(self.end))
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("whole")

    def run_cell(self) -> None:
        self.autosaving.note_busy(True)
        self.autosaving.note_busy(False)

    async def begin(self) -> None:
        self.run_cell()
        await self.begun.wait()
        self.begun.clear()


async def settle() -> None:
    """Let all go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_notebook_is_saved_once_when_it_has_become_idle() -> None:
    notebook = Notebook()
    await notebook.begin()
    notebook.end.set_result(None)
    await settle()
    notebook.autosaving.look_again()
    await settle()
    assert (notebook.saves, notebook.ended) == (1, ["whole"])
    await notebook.autosaving.aclose()


async def test_a_cell_that_would_wait_ends_the_save_which_comes_again_behind_it() -> None:
    notebook = Notebook()
    await notebook.begin()
    notebook.autosaving.note_busy(True)
    await settle()
    assert notebook.ended == ["CancelledError"]
    notebook.autosaving.note_busy(False)
    await notebook.begun.wait()
    assert notebook.saves == 2
    await notebook.autosaving.aclose()


async def test_a_cell_leaves_a_snapshot_alone_and_what_it_does_is_saved_next() -> None:
    notebook = Notebook(has_snapshot=True)
    await notebook.begin()
    notebook.run_cell()
    await settle()
    assert notebook.ended == []
    notebook.end.set_result(None)
    await notebook.begun.wait()
    await settle()
    assert notebook.ended == ["whole", "whole"]
    await notebook.autosaving.aclose()


async def test_a_save_that_fails_is_told_once_until_one_does_not() -> None:
    notebook = Notebook(Pace(idle_seconds=0.0, rest_seconds=0.0, rest_factor=0.0, retry_seconds=0.0))
    notebook.end.set_exception(SaveError("The disk is full."))
    await notebook.begin()
    await notebook.begun.wait()
    notebook.begun.clear()
    await notebook.begun.wait()
    assert notebook.told == ["The notebook could not be saved by itself, which is tried again later. The disk is full."]
    assert notebook.autosaving.problem == "The disk is full."
    notebook.end = asyncio.get_running_loop().create_future()
    notebook.end.set_result(None)
    await notebook.begun.wait()
    await settle()
    assert notebook.autosaving.problem == ""
    await notebook.autosaving.aclose()


async def test_a_session_that_cannot_be_reached_is_saved_when_it_can() -> None:
    notebook = Notebook(is_reachable=False)
    notebook.run_cell()
    await settle()
    assert notebook.saves == 0
    notebook.is_reachable = True
    notebook.autosaving.look_again()
    await notebook.begun.wait()
    await notebook.autosaving.aclose()


async def test_the_end_saves_what_has_changed() -> None:
    notebook = Notebook(Pace())
    notebook.end.set_result(None)
    notebook.run_cell()
    await notebook.autosaving.finish(within_seconds=10)
    assert notebook.ended == ["whole"]
    await notebook.autosaving.finish(within_seconds=10)
    assert notebook.saves == 1


async def test_the_end_does_not_wait_for_a_save_that_takes_long() -> None:
    notebook = Notebook(Pace())
    notebook.run_cell()
    began = time.monotonic()
    await notebook.autosaving.finish(within_seconds=0.05)
    assert time.monotonic() - began < 1
    assert notebook.ended == ["CancelledError"]


async def test_an_order_ends_the_save_under_way() -> None:
    notebook = Notebook()
    await notebook.begin()
    await notebook.autosaving.stop()
    assert notebook.ended == ["CancelledError"]
    await notebook.autosaving.aclose()


async def test_of_a_session_that_is_gone_nothing_is_saved() -> None:
    notebook = Notebook()
    await notebook.begin()
    notebook.autosaving.note_gone()
    await settle()
    assert (notebook.saves, notebook.ended) == (1, ["CancelledError"])
    await notebook.autosaving.aclose()
