"""The peers answer as kernels do, and what fails there is said in the table; their numbers mean nothing here."""

from collections.abc import Callable, Iterator

import pytest

from benchmarks import samples
from benchmarks.contestants import LOCAL, POOL, Contestant
from benchmarks.front_end import ConnectionLost
from benchmarks.measures import Measure, ratio
from benchmarks.peers.measures import GATEWAY, KERNEL_CLIENT, NODELAY, PEER_MEASURES, ROUNDS
from benchmarks.peers.table import to_markdown
from benchmarks.rounds import Outcome


def test_a_measure_that_has_few_rounds_with_the_peers_is_one_of_the_others() -> None:
    assert {measure.name for measure in PEER_MEASURES} == ROUNDS.keys()


def test_the_table_has_ratios_and_says_what_failed() -> None:
    measure = Measure(name="cell", unit="ms", sample=samples.cell, rounds=2, goals=(ratio("a cell", 1.0),))
    taken = {LOCAL: [2.0, 4.0], GATEWAY: [90.0, 90.0], NODELAY: [3.0, 6.0], KERNEL_CLIENT: [], POOL: [3.0, 5.0]}
    table = to_markdown([Outcome(measure, samples=taken, lost={KERNEL_CLIENT: "9 of 10 lines, the first 8 whole"})])
    assert table.splitlines()[0] == f"| measure | ipykernel = 1.0 | {GATEWAY} | {NODELAY} | jkc | this kernel |"
    assert table.splitlines()[2] == "| a cell | 3.0 ms | 34 | 1.50 | failed: 9 of 10 lines | 1.38 |"


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Contestant]]:
    from benchmarks.peers.contestants import with_peers  # part of an extra

    with with_peers() as found:
        yield found


@pytest.mark.peers
@pytest.mark.parametrize("name", [GATEWAY, NODELAY, KERNEL_CLIENT])
@pytest.mark.parametrize(
    "sample",
    [
        samples.start_to_info,
        samples.cell,
        samples.inspection,
        samples.typed_input,
        samples.comm_echo(),
        samples.interrupt_of("import time\ntime.sleep(60)"),
        samples.printed(100, 1_000, flush=False),
        samples.displayed(3, 10_000),
    ],
)
def test_a_peer_is_measured_as_the_others_are(
    peers: dict[str, Contestant], name: str, sample: Callable[[Contestant], float]
) -> None:
    assert sample(peers[name]) > 0


@pytest.mark.peers
def test_a_buffer_comes_back_from_a_server(peers: dict[str, Contestant]) -> None:
    assert samples.comm_echo(100_000)(peers[KERNEL_CLIENT]) > 0


@pytest.mark.peers
def test_what_no_gateway_carries_is_noticed_and_the_next_kernel_is_a_new_one(peers: dict[str, Contestant]) -> None:
    gateway = peers[GATEWAY]
    with pytest.raises(ConnectionLost):
        samples.displayed(1, 20_000_000)(gateway)
    gateway.close()
    assert samples.cell(gateway) > 0
