"""The table of limits, and the page that shows it."""

from pathlib import Path

import pytest

from remote_kernel.core import limits, numbers
from remote_kernel.core.limits import GIGABYTE, KILOBYTE, MEGABYTE, Limit

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def size(count: int) -> str:
    for unit, name in ((GIGABYTE, "GB"), (MEGABYTE, "MB"), (KILOBYTE, "KB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def describe(limit: Limit) -> str:
    """Return the bounds of a kind as the page has them."""
    said = []
    if limit.bytes is not None:
        said.append(size(limit.bytes))
    if limit.unpacked_bytes is not None:
        said.append(f"{size(limit.unpacked_bytes)} unpacked")
    if limit.expansion is not None:
        said.append(f"{limit.expansion} times its size unpacked")
    if limit.frames is not None:
        said.append(f"{limit.frames:,} frames")
    if limit.entries is not None:
        said.append(f"{limit.entries:,} entries in all")
    if limit.name_chars is not None:
        said.append(f"{limit.name_chars // 1_000_000} million characters of names")
    if limit.pages is not None:
        said.append(f"{limit.pages:,} pages")
    if limit.nesting is not None:
        said.append(f"{limit.nesting} deep")
    if limit.values is not None:
        said.append(f"{limit.values // 1_000_000} million values")
    return ", ".join(said)


def test_the_page_shows_the_table_as_it_is() -> None:
    text = PAGE.read_text()
    table = text.split("| kind of answer | bound | why |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| {each.kind} | {describe(each)} | {each.reason} |" for each in limits.TABLE]


def test_the_page_says_what_numbers_may_be() -> None:
    text = " ".join(PAGE.read_text().split())
    assert numbers.COOLDOWN.least == 1
    assert numbers.COOLDOWN.most == 86_400
    assert "a cooldown is 1 second to 1 day" in text
    assert numbers.RETRY_AFTER.most == 60
    assert "`Retry-After` is a minute at most" in text


def test_what_one_message_may_have_is_the_same_in_both_tables() -> None:
    assert f"{size(limits.REQUEST.bytes or 0)} up, {size(limits.MESSAGE.bytes or 0)} down" in PAGE.read_text()


def test_every_kind_has_a_bound_and_a_reason_and_is_in_the_table() -> None:
    defined = [value for value in vars(limits).values() if isinstance(value, Limit)]
    assert defined == list(limits.TABLE)
    assert all(describe(limit) and limit.kind and limit.reason for limit in defined)
    assert len({limit.kind for limit in defined}) == len(defined)


@pytest.mark.parametrize("limit", [limit for limit in limits.TABLE if limit.nesting])
def test_json_that_is_read_is_bounded_in_size_as_well(limit: Limit) -> None:
    assert limit.bytes or limit.unpacked_bytes


@pytest.mark.parametrize("limit", [limit for limit in limits.TABLE if limit.nesting])
def test_json_that_may_be_large_has_a_bound_for_its_values(limit: Limit) -> None:
    is_read_here = limit not in {limits.BATCH_OF_REQUESTS}
    assert limit.values or (limit.bytes or 0) <= 8 * MEGABYTE or not is_read_here
