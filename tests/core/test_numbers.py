"""Numbers and names from outside."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.numbers import AGE, COOLDOWN, COUNT, EPOCH, MAX_SEQUENCE, MOMENT, NAME, REMARK, Range

ANYTHING = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.lists(st.integers()))


@pytest.mark.parametrize("limit", [COUNT, COOLDOWN, AGE, MOMENT])
@given(value=ANYTHING)
def test_anything_is_a_number_in_the_range_or_a_wire_error(limit: Range, value: object) -> None:
    try:
        checked = limit.check(value, "it")
    except WireError:
        return
    assert limit.least <= checked <= limit.most
    assert type(checked) is type(value)


@pytest.mark.parametrize("value", [True, False, "1", None, float("nan"), float("inf"), -1, MAX_SEQUENCE + 1, 2**64])
def test_no_count(value: object) -> None:
    with pytest.raises(WireError, match="it is"):
        COUNT.check(value, "it")


@pytest.mark.parametrize(("value", "checked"), [(-1.0, 1.0), (0, 1), (1e300, 86_400.0), (10**400, 86_400), (5.5, 5.5)])
def test_what_may_be_brought_into_its_range_is(value: float, checked: float) -> None:
    assert COOLDOWN.check(value, "it") == checked


@pytest.mark.parametrize("value", ["", "x" * 129, "a\nb", "a\x1b[0m", "a\x9bb", 7, None])
def test_no_epoch(value: object) -> None:
    with pytest.raises(WireError):
        EPOCH.check(value, "it")


def test_a_name_may_be_empty_and_a_remark_is_cut_and_printable() -> None:
    assert NAME.check("", "it") == ""
    assert REMARK.check("signal 9\x1b[2J" + "x" * 300, "it") == "signal 9[2J" + "x" * 188


def test_moment_of_a_pod_is_in_the_calendar_of_every_system() -> None:
    last_of_windows = 32_536_850_399  # localtime of its library fails behind it, here by hours for every time zone
    assert MOMENT.most < last_of_windows - 86_400
    assert time.localtime(MOMENT.check(1e300, "a time")).tm_year in {2999, 3000}
