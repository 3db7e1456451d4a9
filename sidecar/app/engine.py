"""The engine: capture, policies, workflows, database, admin and deliveries in one process, the relay's child.

Reads like the drawing: each part is opened on top of the one below it and closed in the reverse order. Promises to end
at once when its relay is gone, to be the first that the system kills when memory runs out, and to be alone on its data
folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from sidecar import ui
from sidecar.admin.app import build_app
from sidecar.admin.metrics import render
from sidecar.admin.parts import Parts
from sidecar.app.life import alone_on, be_killed_first, end_with_the_relay, leave_room_for_the_relay
from sidecar.app.loop import run_loop, spare_the_collector
from sidecar.capture.arrival import ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers, read_keys
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured, Receiver
from sidecar.collector import Workflow
from sidecar.delivery import registry
from sidecar.errors import ConfigurationError, Problem, TransientError
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.clock import SystemClock
from sidecar.kit.sites import listen
from sidecar.kit.streams import unblocked_streams
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.accounts import exchange_sums, relay_counters, relay_gauges
from sidecar.pipeline.batch import Batch
from sidecar.pipeline.destinations import Destinations
from sidecar.pipeline.dispatch import Dispatch
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.models import ModelServers
from sidecar.pipeline.plan import Plan, make_plan
from sidecar.policy.catalog import Catalog
from sidecar.protocol.call import Call
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import read_ledger
from sidecar.settings import Settings
from sidecar.store.database import Database, sqlite_url
from sidecar.store.secrets import Secrets, load_key
from sidecar.workflow.graph import compile_workflow

LAST_FRAMES_SECONDS = 4.0
LAST_DELIVERIES_SECONDS = 4.0
"""Together, twice the one and once the other, less than the relay grants before it kills the engine."""


def run_engine(settings: Settings, link_fd: int) -> int:
    """Run until SIGTERM; `link_fd` is the listening socket that the relay holds and hands on."""
    end_with_the_relay()
    be_killed_first()
    leave_room_for_the_relay(settings.relay_memory)
    with unblocked_streams():
        events = Events(logs.configure(settings.log_level, process="engine"))
        with alone_on(settings.data, events):
            return run_loop(_serve(settings, events, socket.socket(fileno=link_fd)))


async def _serve(settings: Settings, events: Events, listening: socket.socket) -> int:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Engine(settings, events).running(listening) as engine:
        spare_the_collector()
        sys.stdout.write(f"ready admin={engine.admin}\n")
        sys.stdout.flush()
        await stopping.wait()
        await engine.drain()
    return 0


class Engine:
    """All parts of the engine, joined."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._clock = SystemClock()
        self._plan = Plan()
        self._file_problems: tuple[Problem, ...] = ()
        self._tasks = Tasks(events.task_failed)
        self._queue: KeyedQueue[Captured] = KeyedQueue(settings.queue_memory)
        callers = Callers(settings.caller_header, read_keys(settings.keys) if settings.keys else {})
        arrivals = ArrivalReader(callers, settings.metadata_headers)
        self._receiver = Receiver(self._queue, arrivals.read, self.metrics, events)
        self._database = Database(sqlite_url(settings.data), settings.data_limit)
        self._secrets = Secrets(self._database, load_key(settings.data))
        self._jobs = JobQueue(self._database, self._clock, events, owner=os.urandom(8).hex())
        self._catalog = Catalog(
            self._database,
            events,
            self._clock,
            check_workflow=self._check_workflow,
            check_destination=registry.check_options,
            store_secret=self._secrets.add,
            is_secret=self._secrets.is_known,
        )
        self.admin = ""

    def _check_workflow(self, workflow: Workflow) -> None:
        compile_workflow(workflow, {server.id for server in self._settings.models})

    @contextlib.asynccontextmanager
    async def running(self, listening: socket.socket) -> AsyncIterator[Engine]:
        """Start everything, bottom-up; what was started is stopped top-down, also when a later part fails."""
        async with contextlib.AsyncExitStack() as parts:
            await parts.enter_async_context(self._database)
            await self._open_policies()
            session = await parts.enter_async_context(registry.new_session())
            models = ModelServers(self._settings.models, session, self._events)
            destinations = Destinations(registry.Parts(self._database, session, self._secrets.reveal, self._clock))
            parts.push_async_callback(destinations.close)
            batch = Batch(
                self._jobs, self._current_plan, destinations.of, models.ask, self._settings.retry_for, self._clock,
                self._events,
            )  # fmt: skip
            self._dispatch = Dispatch(self._jobs, batch, self._clock, self._events)
            self._intake = Intake(
                self._queue, self._current_plan, _decode, self._jobs.record, self._jobs.paid, models.ask_once,
                self._events,
            )  # fmt: skip
            parts.push_async_callback(self._intake.stop)
            parts.push_async_callback(self._tasks.stop)
            self._dispatching = self._tasks.start(self._dispatch.run(), "dispatch")
            self._taking_in = self._tasks.start(self._intake.run(), "intake")
            parts.push_async_callback(self._receiver.stop)
            await self._receiver.start(listening, self._plan.index)
            await parts.enter_async_context(self._serving_admin())
            self._events.engine_ready(self.admin, *self._sizes())
            yield self

    async def _open_policies(self) -> None:
        """Read the folder, make the first plan, and give back to the queue what an engine before us left."""
        self._file_problems = tuple(await self._catalog.load_files(self._settings.policies))
        self._catalog.on_change = self._make_plan
        self._make_plan()
        with contextlib.suppress(TransientError):  # said where it failed; the leases then run out by themselves
            await self._jobs.void_leases()
            await self._drop_of_the_deleted()

    async def _drop_of_the_deleted(self) -> None:
        known = {collector.key for collector in self._catalog.snapshot.collectors}
        for collector, sums in (await read_ledger(self._database)).collectors.items():
            if collector not in known and (sums.pending or sums.dead):
                await self._jobs.drop_pending(collector)

    def _make_plan(self) -> None:
        snapshot = self._catalog.snapshot
        models = {server.id for server in self._settings.models}
        self._plan = make_plan(snapshot.collectors, snapshot.workflows, models)
        if self._plan.problems:
            self._events.policy_broken(ConfigurationError(self._plan.problems))
        self._receiver.publish(self._plan.index)

    def _current_plan(self) -> Plan:
        return self._plan

    def _sizes(self) -> tuple[int, int]:
        snapshot = self._catalog.snapshot
        return len(snapshot.collectors), len(snapshot.workflows)

    @contextlib.asynccontextmanager
    async def _serving_admin(self) -> AsyncIterator[None]:
        parts = Parts(
            settings=self._settings,
            catalog=self._catalog,
            database=self._database,
            events=self._events,
            clock=self._clock,
            ledger=self.ledger,
            readiness=self.readiness,
            metrics=self.metrics,
            jobs=self._jobs,
            pages=ui.pages(),
        )
        runner = web.AppRunner(build_app(parts), access_log=None)
        await runner.setup()
        try:
            self.admin = await listen(runner, self._settings.admin)
            yield
        finally:
            await runner.cleanup()

    async def drain(self) -> None:
        """Take what the relays still send into the queue, let deliveries under way end, and stop taking new ones."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._receiver.drained(), LAST_FRAMES_SECONDS)
        self._queue.close()
        await asyncio.wait([self._taking_in], timeout=LAST_FRAMES_SECONDS)
        if len(self._queue):
            self._events.exchange_lost("stopping", len(self._queue))
        self._dispatching.cancel()
        await self._dispatch.stop(LAST_DELIVERIES_SECONDS)
        with contextlib.suppress(TransientError):  # said where it failed; the sums hold without what is owed
            await self._jobs.release()
        self._events.stopped()

    async def ledger(self) -> dict[str, Any]:
        """Both sums, in the shape of `/v1/ledger`. The relays are asked first: what they have seen is never behind."""
        exchanges = exchange_sums(await self._receiver.counts())
        return {"exchanges": exchanges, **(await read_ledger(self._database)).to_json()}

    async def readiness(self) -> Mapping[str, str]:
        """What is wrong with each part; blank where nothing is."""
        problems = (*self._file_problems, *self._plan.problems)
        return {
            "relay": "" if self._receiver.relays else "no relay is connected",
            "database": "counts wait for the disk" if self._jobs.owes else "",
            "policies": "; ".join(str(problem) for problem in problems),
        }

    async def metrics(self) -> bytes:
        """The Prometheus page."""
        counts = await self._receiver.counts()
        ledger = (await read_ledger(self._database)).to_json()
        gauges = {
            "sidecar_engine_up": 1.0,
            "sidecar_queue_bytes": float(self._queue.size_bytes),
            "sidecar_queue_exchanges": float(len(self._queue)),
            **relay_gauges(counts),
        }
        return render(relay_counters(counts, self._events.counters), exchange_sums(counts), ledger, gauges)


def _decode(captured: Captured) -> Call:
    return decode_arrival(captured.arrival)
