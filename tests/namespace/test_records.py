import json
from pathlib import Path

from remote_kernel.namespace.files.records import Reporter


def test_progress_is_written_when_it_is_time(tmp_path: Path) -> None:
    now = [0.0]
    reporter = Reporter(str(tmp_path), clock=lambda: now[0])

    def done() -> int:
        return int(json.loads((tmp_path / "progress.json").read_text())["done"])

    reporter.update(done=1)
    reporter.update(done=2)
    assert done() == 1
    now[0] = 1.0
    reporter.update(done=3)
    assert done() == 3
    reporter.update(done=4)
    reporter.write()
    assert done() == 4
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]
