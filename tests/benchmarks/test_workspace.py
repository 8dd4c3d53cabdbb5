"""The table of what files and packages take: ratios of a round, and what a machine lacks."""

from benchmarks.workspace import Row, to_markdown


def test_ratios_are_of_the_same_round() -> None:
    row = Row(title="files", peer="rsync", ours=[2.0, 30.0, 4.0], theirs=[1.0, 10.0, 1.0])
    assert to_markdown([row]).splitlines()[2] == "| files | 4.0 s | rsync: 1.0 s | 3.00 |"


def test_what_this_machine_lacks_is_told() -> None:
    row = Row(title="files", peer="rsync", ours=[2.0], lacking="not installed here")
    assert to_markdown([row]).splitlines()[2] == "| files | 2.0 s | rsync: not installed here | – |"
    row = Row(title="packages", peer="pip", lacking="no index")
    assert to_markdown([row]).splitlines()[2] == "| packages | – | pip: no index | – |"


def test_they_take_turns() -> None:
    order: list[str] = []
    row = Row(title="files", peer="rsync")

    def sample(name: str) -> float:
        order.append(name)
        return 1.0

    for number in range(2):
        row.take(lambda: sample("ours"), lambda: sample("theirs"), number=number)
    assert order == ["ours", "theirs", "theirs", "ours"]
