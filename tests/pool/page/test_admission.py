"""Links that work once and visits that end, at moments that the test chooses."""

from remote_kernel.pool.page.admission import LINK_SECONDS, MAX_LINKS, MAX_VISITS, VISIT_SECONDS, Admission


def test_link_is_exchanged_for_a_visit_once() -> None:
    admission = Admission()
    link = admission.make_link(now=0)
    visit = admission.redeem(link, now=1)
    assert visit is not None
    assert admission.admits(visit, now=2)
    assert admission.redeem(link, now=3) is None


def test_link_is_no_visit_and_a_visit_is_no_link() -> None:
    admission = Admission()
    link = admission.make_link(now=0)
    assert not admission.admits(link, now=0)
    visit = admission.redeem(link, now=0)
    assert visit is not None
    assert admission.redeem(visit, now=0) is None


def test_what_nobody_gave_out_opens_nothing() -> None:
    admission = Admission()
    admission.make_link(now=0)
    for secret in ("", "guessed", "é"):
        assert admission.redeem(secret, now=0) is None
        assert not admission.admits(secret, now=0)


def test_link_that_nobody_follows_becomes_void() -> None:
    admission = Admission()
    assert admission.redeem(admission.make_link(now=0), now=LINK_SECONDS - 1) is not None
    assert admission.redeem(admission.make_link(now=0), now=LINK_SECONDS) is None


def test_visit_ends() -> None:
    admission = Admission()
    visit = admission.redeem(admission.make_link(now=0), now=0)
    assert visit is not None
    assert admission.admits(visit, now=VISIT_SECONDS - 1)
    assert not admission.admits(visit, now=VISIT_SECONDS)


def test_oldest_link_and_oldest_visit_give_way() -> None:
    admission = Admission()
    links = [admission.make_link(now=0) for _ in range(MAX_LINKS + 1)]
    assert admission.redeem(links[0], now=0) is None
    first = admission.redeem(links[-1], now=0)
    assert first is not None
    for _ in range(MAX_VISITS):
        assert admission.redeem(admission.make_link(now=0), now=0) is not None
    assert not admission.admits(first, now=0)
