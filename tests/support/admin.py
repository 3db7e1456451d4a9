"""The real admin server on a free port, with the questions that other parts answer as plain values."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sidecar import settings, ui
from sidecar.admin.app import build_app
from sidecar.admin.metrics import render
from sidecar.admin.parts import Parts
from sidecar.capture.traffic import Source, Traffic, passing_to_json
from sidecar.frame import build_index
from sidecar.passing import ModelName
from sidecar.pipeline.tail import Tail
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import NewJob
from support import described
from support.catalogs import Shop, open_shop

LEDGER: dict[str, Any] = {
    "exchanges": {"seen": 3, "unwanted": 1, "taken": 1, "open": 0, "lost": {"queue_full": 1}, "relays": 1},
    "total": {"matched": 4, "filtered": 2, "delivered": 1, "dead": 0, "dropped": 1, "pending": 0},
    "reasons": {"filtered": {"pre_queue": 2}, "dropped": {"no_output": 1}},
    "collectors": {"c": {"matched": 4, "filtered": 2, "delivered": 1, "dead": 0, "dropped": 1, "pending": 0}},
}


class WatchedQueue(JobQueue):
    """A real queue that remembers whose jobs were dropped."""

    dropped: list[str]

    async def drop_pending(self, collector: str, reason: str = "collector_deleted") -> int:
        self.dropped.append(collector)
        return await super().drop_pending(collector, reason)


@dataclass
class Admin:
    """A running admin server. `ask` gives (HTTP status, JSON)."""

    shop: Shop
    url: str
    session: aiohttp.ClientSession
    jobs: WatchedQueue
    readiness: dict[str, str] = field(default_factory=dict)
    tail: Tail = field(default_factory=Tail)

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        json = None if isinstance(body, bytes) else body
        data = io.BytesIO(body) if isinstance(body, bytes) else None
        async with self.session.request(method, self.url + path, json=json, data=data, headers=headers) as response:
            answer = await response.json()
            described.hold(method, path, response.status, answer)
            return response.status, answer


@contextlib.asynccontextmanager
async def open_admin(data: Path, token: str = "") -> AsyncIterator[Admin]:
    async with open_shop(data) as shop, aiohttp.ClientSession() as session:
        jobs = WatchedQueue(shop.database, shop.clock, shop.events, "this")
        jobs.dropped = []
        admin = Admin(shop, "", session, jobs)
        runner = web.AppRunner(build_app(_parts(admin, token)), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            admin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield admin
        finally:
            await runner.cleanup()


def _parts(admin: Admin, token: str) -> Parts:
    async def ledger() -> Mapping[str, Any]:
        return LEDGER

    async def readiness() -> Mapping[str, str]:
        return admin.readiness

    async def metrics() -> bytes:
        return render(admin.shop.events.counters, LEDGER["exchanges"], LEDGER, {"sidecar_engine_up": 1.0})

    shop = admin.shop
    passed = Traffic(shop.clock)
    passed.kept([NewJob("1" * 32, 0, "c", "alice", "digits", "", b"{}")], {})

    def traffic(known: Sequence[str], shown: Callable[[Source], Source]) -> Mapping[str, Any]:
        passing = passing_to_json([ModelName("digits")], build_index([]), shown)
        return {**passed.to_json(known, shown), "passing": passing}

    return Parts(
        settings=settings.load({"admin_token": token} if token else {}, {}),
        catalog=shop.catalog,
        relations=shop.relations,
        database=shop.database,
        events=shop.events,
        clock=shop.clock,
        ledger=ledger,
        readiness=readiness,
        metrics=metrics,
        jobs=admin.jobs,
        tail=admin.tail,
        traffic=traffic,
        pages=ui.pages(),
    )
