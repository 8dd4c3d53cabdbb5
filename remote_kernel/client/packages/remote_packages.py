"""Packages of one session's interpreter, as `core.wire.packages` has them on the wire."""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from remote_kernel.client.files.transfer import Patience
from remote_kernel.client.routes.route import Route, understood
from remote_kernel.core.errors import PoolRefused, SessionLost, TransferError
from remote_kernel.core.wire import files
from remote_kernel.core.wire.frames import PACKAGES_PATH
from remote_kernel.core.wire.packages import Installed, Order, Packages

# The interpreter of a machine with a slow disk takes seconds to start.
READ_SECONDS = 100.0

# An agent gives its installer a quarter of an hour, and orders wait for one another.
ORDER_SECONDS = 3600.0
MIN_SECONDS = 0.5

POD_GONE = "The remote session's pod was replaced while packages were installed in it. Run it again for the new one."
AZURE_MAY_INSTALL = "'%pip install' may work there, where the pool's sessions have a network."


class RemotePackages:
    """Asks for packages of one pod, and has wheels installed that were sent.

    All methods raise `PoolError`, `TransferError`, and `SessionLost` once another pod answers than the one at first.

    Args:
        kernelspec: of the interpreter in the pod.
        patience: for requests that do not get through.
        order_seconds: how long an order may take.

    Attributes:
        pod: its name; "" for whichever answers first.
    """

    def __init__(
        self, route: Route, kernelspec: str, patience: Patience, pod: str = "", *, order_seconds: float = ORDER_SECONDS
    ) -> None:  # fmt: skip
        self._route = route
        self._kernelspec = kernelspec
        self._patience = patience
        self._order_seconds = order_seconds
        self.pod = pod

    async def describe(self) -> Packages:
        packages = understood(Packages.from_json, await self._request("GET", {}))
        self.pod = packages.pod
        return packages

    async def install(self, order: Order) -> Installed:
        """Have wheels installed, and return what became of it."""
        job, content = secrets.token_hex(8), json.dumps(order.to_json()).encode()
        ends_at = time.monotonic() + self._order_seconds
        while time.monotonic() < ends_at:
            asked_at = time.monotonic()
            installed = understood(Installed.from_json, await self._request("POST", {"job": job}, content))
            if installed.is_done:
                return installed
            # An agent of ours has waited before it answers.
            await asyncio.sleep(max(0.0, MIN_SECONDS - (time.monotonic() - asked_at)))
        raise TransferError("The session does not come to an end with these packages: '%session reset' takes another.")

    async def _request(self, method: str, params: Mapping[str, str], content: bytes = b"") -> dict[str, Any]:
        named = {**params, "kernelspec": self._kernelspec, **({"pod": self.pod} if self.pod else {})}

        async def attempt() -> dict[str, Any]:
            return await self._route.request(
                method, PACKAGES_PATH, params=named, content=content, read_seconds=READ_SECONDS
            )

        try:
            return await self._patience.persist(attempt)
        except PoolRefused as error:
            if error.code == files.POD_MISMATCH:
                raise SessionLost(POD_GONE) from None
            if error.code == files.NO_AGENT:
                raise TransferError(f"{error} {AZURE_MAY_INSTALL}") from None
            raise
