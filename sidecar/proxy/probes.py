"""Health and metrics for a kubelet, answered by the relay.

The relay answers because a restart on a sick engine would cut the predictions that the relay still carries: live means
that the relay runs, ready that it accepts traffic. With several workers the first one answers, which also accepts for
any that is gone. The engine renders the metrics; when it is away the counts of all relays are shown alone, under the
names that they have on its page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from sidecar.kit.sites import listen
from sidecar.settings import Address

METRICS_TYPE = "text/plain"
_EXCHANGES = ("seen", "unwanted", "taken", "lost")
_GAUGES = {
    "open": "sidecar_exchanges_open",
    "relays": "sidecar_relays",
    "connections_open": "sidecar_relay_connections_open",
}


class Probes:
    """A small server with `/healthz`, `/readyz` and `/metrics`, and nothing else."""

    def __init__(
        self,
        is_ready: Callable[[], bool],
        metrics: Callable[[], Awaitable[bytes | None]],
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._is_ready = is_ready
        self._metrics = metrics
        self._counts = counts
        self._runner = web.ServerRunner(web.Server(self._answer))

    async def start(self, address: Address) -> None:
        """Listen. Raises OSError."""
        await self._runner.setup()
        await listen(self._runner, address)

    async def stop(self) -> None:
        """Safe twice."""
        with contextlib.suppress(RuntimeError):
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        if request.path == "/readyz":
            return web.Response(text="ready\n") if self._is_ready() else web.Response(status=503, text="stopping\n")
        if request.path == "/metrics":
            page = await self._metrics()
            return web.Response(body=page if page is not None else self._own(), content_type=METRICS_TYPE)
        return web.Response(status=404, text="this port serves /healthz, /readyz and /metrics\n")

    def _own(self) -> bytes:
        lines = ["sidecar_engine_up 0", *(f"{_shown(name)} {count}" for name, count in self._counts().items())]
        return ("\n".join(lines) + "\n").encode()


def _shown(name: str) -> str:
    """What a count is called among metrics."""
    kind, dot, reason = name.partition(".")
    label = f'{{reason="{reason}"}}' if dot else ""
    if kind in _GAUGES:
        return _GAUGES[kind]
    group = "exchanges" if kind in _EXCHANGES else "relay"
    return f"sidecar_{group}_{kind.removesuffix('_total')}_total{label}"
