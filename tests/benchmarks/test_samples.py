"""Each measure runs and notices what is missing; its numbers mean nothing here."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from benchmarks import samples
from benchmarks.contestants import POOL, Contestant, start_remote
from benchmarks.front_end import ConnectionLost, FrontEnd, Message
from benchmarks.measures import FLOOD, Goal, Measure, ratio, ratio_of
from benchmarks.report import rows_of, to_markdown
from benchmarks.rounds import take
from tests.driver import Pool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def contestant(pool: Pool) -> Iterator[Contestant]:
    remote = Contestant(POOL, lambda: start_remote(pool.endpoint, pool.token))
    yield remote
    remote.close()


@pytest.mark.parametrize(
    "sample",
    [
        samples.cell,
        samples.first_output,
        samples.inspection,
        samples.typed_input,
        samples.comm_echo(),
        samples.comm_echo(100_000),
        samples.interrupt_of("while True: pass"),
        samples.printed(100, 1_000, flush=False),
        samples.printed(100_000, 3, flush=True),
        samples.flushed_prints(50),
        samples.displayed(3, 10_000),
        samples.displayed_text(10_000),
        samples.completion_beside(FLOOD),
    ],
)
def test_a_sample_is_a_number_when_everything_has_arrived(
    contestant: Contestant, sample: Callable[[Contestant], float]
) -> None:
    assert sample(contestant) > 0


def test_kernels_that_start_and_run_together_are_measured(pool: Pool) -> None:
    fresh = Contestant(POOL, lambda: start_remote(pool.endpoint, pool.token))
    assert samples.start_to_info(fresh) > 0
    assert samples.start_to_result(fresh) > 0
    assert samples.started_together(2)(fresh) > 0
    assert samples.together(2, 3)(fresh) > 0
    assert samples.idle_memory(fresh) > 10


class LossyFrontEnd:
    """Drops one message of a type."""

    def __init__(self, front_end: FrontEnd, msg_type: str) -> None:
        self._front_end = front_end
        self._msg_type = msg_type

    def run(self, code: str) -> list[Message]:
        said = self._front_end.run(code)
        said.remove(next(message for message in said if message["msg_type"] == self._msg_type))
        return said

    def close(self) -> None:
        """The front end is another's."""


@pytest.mark.parametrize(
    ("sample", "msg_type"),
    [
        (samples.printed(100_000, 3, flush=True), "stream"),
        (samples.flushed_prints(50), "stream"),
        (samples.displayed(3, 10_000), "display_data"),
        (samples.displayed_text(10_000), "display_data"),
    ],
)
def test_a_message_that_is_missing_fails_the_measure(
    contestant: Contestant, sample: Callable[[Contestant], float], msg_type: str
) -> None:
    lossy = Contestant(POOL, lambda: contestant.front_end, _front_end=LossyFrontEnd(contestant.front_end, msg_type))  # type: ignore[arg-type]
    goal = Goal(title="a measure", value=ratio_of(POOL), limit=1.0)
    measure = Measure(name="lossy", unit="ms", sample=sample, rounds=2, of=(POOL,), goals=(goal,))
    outcome = take(measure, {POOL: lossy}, is_quick=False, say=lambda _text: None)
    assert outcome.samples == {POOL: []}
    assert outcome.lost.keys() == {POOL}


def test_contestants_take_turns_and_ratios_are_of_the_same_round() -> None:
    cell_queue: list[str] = []

    def sample(contestant: Contestant) -> float:
        cell_queue.append(contestant.name)
        return float(len(cell_queue)) * (2 if contestant.name == POOL else 1)

    def start() -> FrontEnd:
        raise AssertionError("nobody asked for it")

    two = {name: Contestant(name, start) for name in ("ipykernel", POOL)}
    measure = Measure(name="turns", unit="ms", sample=sample, rounds=3, goals=(ratio("turns", 1.0),))
    outcome = take(measure, two, is_quick=False, say=lambda _text: None)
    assert cell_queue == ["ipykernel", POOL, POOL, "ipykernel", "ipykernel", POOL]
    (row,) = rows_of([outcome])
    assert row.value == pytest.approx(2 * 6 / 5)  # the middle one of 2·2/1, 2·3/4 and 2·6/5
    assert not row.is_met
    assert "**2.40** | ≤ 1 |" in to_markdown([row])


class LostConnection:
    """The way to a kernel that takes requests, and is gone when the answer is read."""

    pid = None

    def __init__(self) -> None:
        self.is_closed = False

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        return "1"

    def receive(self, timeout_seconds: float) -> Sequence[tuple[str, Message]]:
        raise ConnectionLost("connection lost")

    def interrupt(self) -> None:
        raise AssertionError("nothing runs")

    def close(self) -> None:
        self.is_closed = True


def test_a_lost_connection_fails_the_measure_and_is_given_up() -> None:
    lost = LostConnection()

    def start() -> FrontEnd:
        raise AssertionError("one is there")

    contestant = Contestant(POOL, start, _front_end=FrontEnd(lost))
    measure = Measure(name="lost", unit="ms", sample=samples.cell, rounds=2, of=(POOL,), goals=())
    outcome = take(measure, {POOL: contestant}, is_quick=False, say=lambda _text: None)
    assert outcome.lost == {POOL: "connection lost"}
    assert lost.is_closed
    with pytest.raises(AssertionError, match="one is there"):
        _ = contestant.front_end


def test_a_row_says_what_was_lost() -> None:
    def sample(contestant: Contestant) -> float:
        if contestant.name == POOL:
            raise samples.Incomplete("9 of 10 characters arrived")
        return 1.0

    def start() -> FrontEnd:
        raise AssertionError("nobody asked for it")

    two = {name: Contestant(name, start) for name in ("ipykernel", POOL)}
    measure = Measure(name="lost", unit="ms", sample=sample, rounds=2, goals=(ratio("lost", 1.0),))
    table = to_markdown(rows_of([take(measure, two, is_quick=False, say=lambda _text: None)]))
    assert "**lost output**" in table
    assert "Incomplete: lost: pool: 9 of 10 characters arrived." in table
