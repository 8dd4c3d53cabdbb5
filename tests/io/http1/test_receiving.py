"""The buffer that all connections of a process are read into."""

import subprocess
import sys

PROGRAM = """
from remote_kernel.io.http1.receiving import Receiving

class Taker(Receiving):
    def data_received(self, data):
        came.append(bytes(data))

came, taker = [], Taker()
for filled in (1, 0, 0):
    buffer = taker.get_buffer(-1)
    size = filled or len(buffer)
    buffer[:size] = b"x" * size
    taker.buffer_updated(size)
    print(len(buffer) // 1024, came.pop() == b"x" * size)
"""


def test_it_grows_when_it_has_been_full_and_is_small_before() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["256 True", "256 True", "1280 True"]
