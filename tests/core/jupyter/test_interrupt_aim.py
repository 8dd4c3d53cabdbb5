"""The aim of an interrupt, as it comes from outside."""

import json

import pytest
from hypothesis import given, strategies

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.interrupt_aim import Aim


@given(strategies.frozensets(strategies.text(), min_size=1), strategies.booleans())
def test_aim_is_read_as_it_was_written(cells: frozenset[str], is_exclusive: bool) -> None:
    aim = Aim(cells=cells, is_exclusive=is_exclusive)
    assert Aim.parse(aim.to_content()) == aim


@pytest.mark.parametrize("content", [{}, {"cells": None}, {"cells": "abc"}, {"cells": []}, {"cells": [1, None]}])
def test_interrupt_without_cells_is_for_whatever_runs(content: dict[str, object]) -> None:
    assert not Aim.parse(json.dumps(content).encode()).cells


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(WireError):
        Aim.parse(b"[]")
