"""The local pool with light pods: `python -m benchmarks.many.light_pool CONTROL MAX_SESSIONS READY`."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from remote_kernel.io.http1.listening import open_listener
from remote_kernel.pool.options import Options
from remote_kernel.pool.server import endpoint_of, serve
from remote_kernel.pool.session_pool import SessionPool
from remote_kernel.pool.sessions import Limits

COOLDOWN_SECONDS = 300.0


async def run(control: str, max_sessions: int, ready: int) -> int:
    """Run until a signal; say endpoint and token as `remote-kernel pool --json` does."""
    holder = str(Path(__file__).with_name("light_pod.py"))

    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        return sys.executable, "-I", "-S", holder, control, str(socket)

    limits = Limits(max_sessions=max_sessions, ready=ready, cooldown_seconds=COOLDOWN_SECONDS)
    options = Options(
        host="127.0.0.1", port=0, limits=limits, prints_json=True, is_daemon=False, idle_exit_seconds=600
    )  # fmt: skip
    token = secrets.token_urlsafe(32)
    with open_listener("127.0.0.1", 0) as listener:
        said = json.dumps({"endpoint": endpoint_of(listener), "token": token})

        def make_pool() -> SessionPool:
            return SessionPool(limits, dict(os.environ), command)

        return await serve(options, listener, token, make_pool, lambda: print(said, flush=True))


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
