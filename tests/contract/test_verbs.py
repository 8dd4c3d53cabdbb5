"""What a user does with a session as a whole, whichever way goes to the pod."""

import pytest

from tests.contract.ways import Way

pytestmark = pytest.mark.contract


def test_detach_leaves_the_session_and_the_next_cell_finds_it(way: Way) -> None:
    way.notebook.run("kept = 42")
    assert "Detached" in way.notebook.run("%session detach").displayed
    assert way.notebook.run("kept").result == "42"


def test_a_killed_kernel_has_a_successor_with_the_variables(way: Way) -> None:
    way.notebook.run("kept = 42")
    way.notebook.manager.restart_kernel(now=True)
    way.notebook.wait_answers()
    assert way.notebook.run("kept").result == "42"


@pytest.mark.needs("pool")
def test_release_gives_the_session_back_and_the_next_cell_takes_another(way: Way) -> None:
    way.notebook.run("kept = 1; open('kept', 'w').close()")
    assert "was given back" in way.notebook.run("%session release").displayed
    assert "There is no session" in way.notebook.run("%session release").displayed
    assert way.notebook.run("import os; 'kept' in globals(), os.path.exists('kept')").result == "(False, False)"


@pytest.mark.needs("pool")
def test_reset_gives_a_new_pod(way: Way) -> None:
    way.notebook.run("kept = 1; open('kept', 'w').close()")
    assert "A new one is starting" in way.notebook.run("%session reset").displayed
    assert way.notebook.run("import os; 'kept' in globals(), os.path.exists('kept')").result == "(False, False)"
