"""Choice of a save for who names none."""

from typing import Any

from remote_kernel.core.saves.choice import choose, has_larger
from remote_kernel.core.saves.save import Save
from tests.core.saves.examples import manifest_of


def save_of(number: int, session: str, *, saved: int = 14, **others: Any) -> Save:
    manifest = manifest_of(b"content", saved=saved)
    return Save(id=f"{number:08x}", saved_at=float(number), session=session, manifest=manifest, **others)


LOST = [save_of(0, "lost"), save_of(1, "lost", is_unasked=True)]
HARDLY_ANYTHING = save_of(2, "now", saved=2, is_unasked=True)


def chosen(session: str, *saves: Save) -> int | None:
    """Return the number of the save that is meant, of these from the oldest to the newest."""
    save = choose(saves[::-1], session)
    return int(save.id, 16) if save else None


def test_the_newest_is_meant() -> None:
    assert chosen("lost", *LOST) == 1
    assert chosen("now", *LOST) == 1
    assert chosen("", *LOST, HARDLY_ANYTHING) == 2
    assert chosen("now") is None


def test_what_was_lost_is_meant_while_the_session_behind_it_has_less() -> None:
    assert chosen("now", *LOST, HARDLY_ANYTHING) == 1
    assert chosen("now", *LOST, HARDLY_ANYTHING, save_of(3, "now", saved=13, is_unasked=True)) == 1


def test_a_session_that_has_as_much_again_is_meant() -> None:
    assert chosen("now", *LOST, HARDLY_ANYTHING, save_of(3, "now", saved=14, is_unasked=True)) == 3


def test_a_save_that_somebody_has_asked_for_is_meant_and_what_follows_it() -> None:
    asked = save_of(3, "now", saved=1)
    assert chosen("now", *LOST, HARDLY_ANYTHING, asked) == 3
    assert chosen("now", *LOST, asked, save_of(4, "now", saved=1, is_unasked=True)) == 4


def test_the_session_after_the_next_means_the_newest() -> None:
    assert chosen("later", *LOST, HARDLY_ANYTHING) == 2


def test_what_cannot_be_used_is_not_meant() -> None:
    assert chosen("now", *LOST, save_of(3, "other", problem="changed"), HARDLY_ANYTHING) == 1
    assert chosen("now", save_of(3, "other", problem="changed")) is None


def test_a_session_that_was_lost_before_nothing_else_is_there_means_its_own() -> None:
    assert chosen("now", HARDLY_ANYTHING) == 2


def test_a_save_of_another_session_is_larger_where_it_has_more_than_twice_as_much() -> None:
    little = save_of(3, "next", saved=6, is_unasked=True)
    assert has_larger([little, *LOST], little)
    assert not has_larger([little, *LOST], save_of(4, "next", saved=7))
    assert not has_larger([little, save_of(2, "next", saved=14), save_of(1, "lost", problem="changed")], little)
