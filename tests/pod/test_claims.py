"""Who has a claim to a pod's kernels, and what one of them may give back."""

import pytest

from remote_kernel.pod.readers.claims import MAX_CLAIMS, Claims, Use, Verdict, judge


def use(name: str = "main", epoch: str = "e1", *, others: int = 0, is_used: bool = True) -> Use:
    return Use(name=name, epoch=epoch, others=others, is_used=is_used)


@pytest.mark.parametrize(
    ("uses", "epoch", "is_order", "verdict"),
    [
        # The pod's only kernel, and nobody else's.
        ([use()], "e1", False, Verdict(ends_kernel=True, ends_pod=True, others=0, kernels=0)),
        # Somebody else uses it, and an order of the user's goes before that.
        ([use(others=2)], "e1", False, Verdict(ends_kernel=False, ends_pod=False, others=2, kernels=1)),
        ([use(others=2)], "e1", True, Verdict(ends_kernel=True, ends_pod=True, others=2, kernels=0)),
        # Another life of the interpreter is somebody else's, even for an order.
        ([use(epoch="e2")], "e1", False, Verdict(ends_kernel=False, ends_pod=False, others=0, kernels=1)),
        ([use(epoch="e2")], "e1", True, Verdict(ends_kernel=False, ends_pod=False, others=0, kernels=1)),
        # A pod that this very request has taken, and one that was asked for and not heard of.
        ([], "e1", False, Verdict(ends_kernel=False, ends_pod=True, others=0, kernels=0)),
        ([use(is_used=False)], "", False, Verdict(ends_kernel=False, ends_pod=True, others=0, kernels=0)),
        ([use()], "", False, Verdict(ends_kernel=False, ends_pod=False, others=0, kernels=1)),
        ([use(others=1, is_used=False)], "", False, Verdict(ends_kernel=False, ends_pod=False, others=0, kernels=1)),
        # Other notebooks of a project are in the pod.
        ([use(), use("b")], "e1", False, Verdict(ends_kernel=True, ends_pod=False, others=0, kernels=1)),
        ([use(), use("b", is_used=False)], "e1", False, Verdict(ends_kernel=True, ends_pod=True, others=0, kernels=0)),
    ],
)
def test_what_is_given_back(uses: list[Use], epoch: str, is_order: bool, verdict: Verdict) -> None:
    assert judge(uses, kernel="main", epoch=epoch, is_order=is_order) == verdict


def test_claim_lasts_as_long_as_a_session_without_a_call() -> None:
    claims = Claims(300.0)
    claims.note("a", 0.0)
    claims.note("b", 10.0)
    assert [claims.others("a", now) for now in (11.0, 309.0, 310.0)] == [1, 1, 0]
    claims.follow("a", 310.0)
    assert claims.others("b", 1000.0) == 1, "who follows has a claim, however long ago it began"


def test_who_has_said_goodbye_has_no_claim_though_its_stream_ends_later() -> None:
    claims = Claims(300.0)
    claims.follow("a", 0.0)
    claims.drop("a")
    assert claims.others("b", 0.5) == 0
    claims.leave("a", 1.0)
    assert claims.others("b", 2.0) == 0


def test_reader_with_two_streams_is_one_peer_until_both_have_ended() -> None:
    claims = Claims(300.0)
    claims.follow("a", 0.0)
    claims.follow("a", 0.0)
    assert (claims.peers_of("a"), claims.peers_of("b")) == (0, 1)
    claims.leave("a", 1.0)
    assert claims.peers_of("b") == 1
    claims.leave("a", 2.0)
    assert claims.peers_of("b") == 0


def test_who_does_not_say_who_it_is_is_always_somebody_else() -> None:
    claims = Claims(300.0)
    claims.note("", 0.0)
    assert (claims.others("a", 1.0), claims.others("", 1.0)) == (1, 1)


def test_however_many_have_used_it_somebody_has() -> None:
    claims = Claims(300.0)
    for number in range(2 * MAX_CLAIMS):
        claims.note(f"reader {number}", float(number < MAX_CLAIMS))
    for number in range(2 * MAX_CLAIMS):
        claims.drop(f"reader {number}")
    assert claims.others("a", 1.0) == 1
    claims.note("a", 301.0)
    assert claims.others("a", 302.0) == 0


def test_what_nobody_has_a_claim_to_is_left_for_as_long_as_the_cooldown() -> None:
    claims = Claims(300.0)
    assert claims.seconds_left(0.0) <= 0
    claims.follow("a", 0.0)
    assert claims.seconds_left(1000.0) == 300.0
    claims.leave("a", 1000.0)
    assert [claims.seconds_left(now) for now in (1000.0, 1200.0, 1300.0)] == [300.0, 100.0, 0.0]
