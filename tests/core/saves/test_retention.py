"""Retention: which saves go."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from remote_kernel.core.saves.retention import Retention
from remote_kernel.core.saves.save import Save
from tests.core.saves.examples import manifest_of, object_of


def save_of(number: int, *contents: bytes, **others: Any) -> Save:
    manifest = manifest_of(b"common", *contents)
    return Save(id=f"{number:08x}", saved_at=float(number), manifest=manifest, **others)


def superseded(retention: Retention, *saves: Save, size: int = 1) -> list[int]:
    """Return the numbers of those that go when the last of them, from the oldest to the newest, is added."""
    sizes = {each.hash: size for save in saves for each in save.manifest.objects}
    return [int(save.id, 16) for save in retention.superseded(saves[::-1], saves[-1], sizes)]


def test_the_oldest_go() -> None:
    assert superseded(Retention(count=2), *map(save_of, range(4))) == [0, 1]
    assert superseded(Retention(count=4), *map(save_of, range(4))) == []


def test_those_with_a_name_go_last() -> None:
    saves = [save_of(0, name="a"), save_of(1, name="b"), save_of(2), save_of(3), save_of(4)]
    assert superseded(Retention(count=3), *saves) == [2, 3]
    assert superseded(Retention(count=2), *saves) == [2, 3, 0]


def test_a_save_replaces_older_ones_of_its_name() -> None:
    assert superseded(Retention(), save_of(0, name="a"), save_of(1, name="b"), save_of(2, name="a")) == [0]
    assert superseded(Retention(), save_of(0), save_of(1)) == []


def test_a_newer_save_of_the_same_name_stays() -> None:
    older, newer = save_of(0, name="a"), save_of(1, name="a")
    assert Retention().superseded([newer, older], older, {}) == []


def test_what_is_too_large_in_all_goes_and_common_objects_count_once() -> None:
    saves = [save_of(number, b"%d" % number) for number in range(4)]  # five objects in all
    assert superseded(Retention(max_bytes=50), *saves, size=10) == []
    assert superseded(Retention(max_bytes=49), *saves, size=10) == [0]
    assert superseded(Retention(max_bytes=30), *saves, size=10) == [0, 1]


def test_the_newest_stays_however_large_it_is() -> None:
    assert superseded(Retention(count=0, max_bytes=0), save_of(0), save_of(1, b"large")) == [0]


def test_the_newest_that_can_be_used_stays() -> None:
    saves = [save_of(0), save_of(1), save_of(2, problem="changed"), save_of(3, problem="changed")]
    sizes = {object_of(b"common").hash: 1}
    assert Retention(count=1).superseded(saves[::-1], saves[0], sizes) == [saves[2], saves[3]]


def test_the_newest_of_a_session_that_was_lost_stays_beside_those_of_the_next() -> None:
    lost = [save_of(number, session="lost") for number in range(2)]
    after = [save_of(number, session="next") for number in range(2, 9)]
    assert superseded(Retention(count=2), *lost, *after[:1]) == []
    assert superseded(Retention(count=2), *lost, *after[:2]) == [0]
    assert superseded(Retention(count=1), *lost, *after[:1]) == [0]
    assert superseded(Retention(count=2), *lost, *after) == [0, 2, 3, 4, 5, 6]


def test_of_as_many_earlier_sessions_as_saves_are_kept_the_newest_stays() -> None:
    saves = [save_of(number, session=f"session {number // 2}") for number in range(10)]
    assert superseded(Retention(count=2), *saves) == [0, 1, 2, 3, 4, 6]


def test_what_is_kept_beside_the_others_costs_none_with_a_name() -> None:
    named = [save_of(number, name=f"{number}", session="lost") for number in range(2)]
    saves = [*named, save_of(2, session="lost"), save_of(3, session="next"), save_of(4, session="next")]
    assert superseded(Retention(count=3), *saves) == [3]


def test_what_is_kept_beside_the_others_goes_where_there_is_no_room() -> None:
    saves = [save_of(number, b"%d" % number, session="ab"[number // 2]) for number in range(4)]
    assert superseded(Retention(max_bytes=30), *saves, size=10) == [0, 2]
    assert superseded(Retention(max_bytes=20), *saves, size=10) == [0, 2, 1]


def test_a_save_of_a_session_that_cannot_be_used_is_not_the_newest_of_it() -> None:
    saves = [save_of(0, session="lost"), save_of(1, problem="changed"), save_of(2, session="next")]
    assert superseded(Retention(count=1), *saves) == [1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "", "a", "b"]), st.binary(max_size=1), st.booleans(), st.sampled_from("xyz")),
        min_size=1,
    ),
    st.integers(0, 6),
    st.integers(0, 60),
    st.data(),
)
def test_as_much_goes_as_has_to_and_never_the_newest(
    kinds: list[tuple[str, bytes, bool, str]], count: int, most: int, data: st.DataObject
) -> None:
    saves = [
        save_of(number, content, name=name, problem="changed" if is_damaged else "", session=session)
        for number, (name, content, is_damaged, session) in enumerate(kinds)
    ]
    usable = [save for save in saves if not save.problem]
    assume(usable)
    added = data.draw(st.sampled_from(usable))
    sizes = {each.hash: 10 for save in saves for each in save.manifest.objects}
    gone = Retention(count=count, max_bytes=most).superseded(saves[::-1], added, sizes)
    left = [save for save in saves if save not in gone]
    assert added in left
    assert usable[-1] in left
    total = sum(sizes[name] for name in {each.hash for save in left for each in save.manifest.objects})
    needed = {added.id, usable[-1].id}
    older = [save for save in usable if save.saved_at < added.saved_at and not (save.name and save.name == added.name)]
    newest = {save.session: save.id for save in older}
    counted = {save.id for save in left if save.session == added.session or newest.get(save.session) != save.id}
    assert total <= most or {save.id for save in left} == needed
    assert len(counted) <= count or counted <= needed
    assert len(left) <= 2 * count + len(needed)
