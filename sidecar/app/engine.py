"""The engine: capture, policies, workflows, database, admin and deliveries in one process, the relay's child.

Reads like the drawing: each part is opened on top of the one below it and closed in the reverse order. Promises to end
at once when its relay is gone, to be the first that the system kills when memory runs out, and to be alone on its data
folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from sidecar import ui
from sidecar.admin.app import build_app
from sidecar.admin.parts import Parts
from sidecar.app.expiry import ending_certificates
from sidecar.app.life import alone_on, be_killed_first, end_with_the_relay, leave_room_for_the_relays
from sidecar.app.loop import run_loop, spare_the_collector
from sidecar.app.policies import LivePolicies
from sidecar.backtest.recorder import Recorder, with_want
from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers, read_keys
from sidecar.capture.ingest import Ingest
from sidecar.capture.ingest_counts import open_counts, this_relay
from sidecar.capture.ingest_site import IngestSite
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured, Receiver
from sidecar.capture.traffic import Source, Traffic, passing_to_json
from sidecar.collector import Workflow
from sidecar.delivery import registry
from sidecar.errors import ConfigurationError, TransientError
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.clock import SystemClock
from sidecar.kit.sites import listen
from sidecar.kit.streams import unblocked_streams
from sidecar.kit.tasks import Tasks
from sidecar.kit.turns import Turns
from sidecar.memory import Change, Memories
from sidecar.model_server import ModelServer
from sidecar.pipeline.accounts import exchange_sums, relay_counters, relay_gauges, with_rows
from sidecar.pipeline.batch import Batch
from sidecar.pipeline.destinations import Destinations
from sidecar.pipeline.dispatch import Dispatch
from sidecar.pipeline.intake import Count, Intake
from sidecar.pipeline.model_client import new_session
from sidecar.pipeline.models import ModelServers, check_after_queue, check_workflow
from sidecar.pipeline.operators import graph_files, open_operators
from sidecar.pipeline.plan import Plan, make_plan
from sidecar.pipeline.tail import Tail
from sidecar.policy.catalog import Catalog
from sidecar.policy.relations import Relations
from sidecar.protocol.call import Call
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import read_ledger
from sidecar.queue.values import NewJob
from sidecar.settings import Settings, origins
from sidecar.store.database import Database, sqlite_url
from sidecar.store.journal import Journal
from sidecar.store.secrets import Secrets, load_key

ROW_COUNTS = "rows.counts"
LAST_FRAMES_SECONDS = 4.0
LAST_DELIVERIES_SECONDS = 4.0
"""Together, twice the one and once the other, less than the relay grants before it kills the engine."""


def run_engine(settings: Settings, link_fd: int) -> int:
    """Run until SIGTERM; `link_fd` is the listening socket that the relay holds and hands on."""
    end_with_the_relay()
    be_killed_first()
    leave_room_for_the_relays(settings.relay_memory, settings.workers)
    with unblocked_streams():
        events = Events(logs.configure(settings.log_level, process="engine"))
        for problem in ending_certificates(settings, datetime.datetime.now(datetime.UTC)):
            events.certificate_ending(problem)
        with alone_on(settings.data, events):
            return run_loop(_serve(settings, events, socket.socket(fileno=link_fd)))


async def _serve(settings: Settings, events: Events, listening: socket.socket) -> int:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _told_to_stop, stopping, events)
    async with Engine(settings, events).running(listening) as engine:
        spare_the_collector()
        sys.stdout.write(f"ready admin={engine.admin}\n")
        sys.stdout.flush()
        await stopping.wait()
        await engine.drain()
    return 0


def _told_to_stop(stopping: asyncio.Event, events: Events) -> None:
    """Let the relay know that this loop runs: one that does not is not waited for."""
    sys.stdout.write("stopping\n")
    sys.stdout.flush()
    events.stopping(signal.SIGTERM.name)
    stopping.set()


class Engine:
    """All parts of the engine, joined."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._clock = SystemClock()
        self._turns = Turns()
        self._plan = Plan()
        self._collected = self._plan.index
        self._destinations: Destinations | None = None
        key = load_key(settings.data)
        self._memories = Memories(key)
        self._database = Database(sqlite_url(settings.data), settings.data_limit, self._turns.offer)
        self._relations = Relations(self._database, events, self._clock)
        graphs = graph_files(settings.policies)
        self._operators, self._operator_problems = open_operators(
            settings.policies, events.operator_loading, self._memories, self._relations.graphs, graphs
        )
        events.operators_broken(self._operator_problems)
        self._recorder = Recorder(self._operators.detectors)
        self._tail = Tail()
        self._traffic = Traffic(self._clock)
        self._tasks = Tasks(events.task_failed)
        self._queue: KeyedQueue[Captured] = KeyedQueue(settings.queue_memory)
        callers = Callers(settings.caller_header, read_keys(settings.keys) if settings.keys else {})
        self._arrivals = ArrivalReader(callers, settings.metadata_headers)
        self._receiver = Receiver(self._queue, self._read, self.metrics, events)
        self._ingest = Ingest(self._queue, events, settings.queue_memory // 4)
        self._rows = IngestSite(
            self._ingest, events, self._clock, settings.mdc_model, settings.max_body, settings.queue_memory
        )
        self._secrets = Secrets(self._database, key)
        self._jobs = JobQueue(self._database, self._clock, events, owner=os.urandom(8).hex())
        self._catalog = Catalog(
            self._database,
            events,
            self._clock,
            check_workflow=self._check_workflow,
            check_destination=registry.check_options,
            store_secret=self._secrets.add,
            is_secret=self._secrets.is_known,
            check_after_queue=functools.partial(check_after_queue, operators=self._operators),
            check_redact=self._operators.detectors.check,
            taken_models=frozenset(server.id for server in settings.models),
        )
        self._policies = LivePolicies(settings.policies, self._catalog, self._jobs, events, graphs)
        self.admin = ""

    def _check_workflow(self, workflow: Workflow) -> None:
        check_workflow(workflow, self._known_models(), self._operators)

    def _known_models(self) -> tuple[ModelServer, ...]:
        """Those of the settings, and those of the policy files."""
        return (*self._settings.models, *self._catalog.models)

    @contextlib.asynccontextmanager
    async def running(self, listening: socket.socket) -> AsyncIterator[Engine]:
        """Start everything, bottom-up; what was started is stopped top-down, also when a later part fails."""
        async with contextlib.AsyncExitStack() as parts:
            await parts.enter_async_context(self._database)
            journal = Journal(self._database, self._events, self._clock)
            parts.push_async_callback(journal.close)
            self._events.note = journal.note
            session = await parts.enter_async_context(registry.new_session())
            asking = await parts.enter_async_context(new_session())
            self._models = ModelServers(self._settings.models, asking, self._events, self._clock)
            await self._open_policies()
            stands_on = registry.Parts(self._database, session, self._secrets.reveal, self._clock)
            self._destinations = destinations = Destinations(stands_on, self._current_plan, self._events.task_failed)
            parts.push_async_callback(destinations.close)
            batch = Batch(
                self._jobs, self._current_plan, destinations.using, self._models.ask, self._settings.retry_for,
                self._clock, self._events,
            )  # fmt: skip
            self._dispatch = Dispatch(self._jobs, batch, self._clock, self._events)
            self._intake = Intake(
                self._queue, self._current_plan, self._decode, self._record, self._jobs.paid,
                self._models.ask_once, self._events, tail=self._tail,
            )  # fmt: skip
            parts.push_async_callback(self._intake.stop)
            parts.push_async_callback(self._tasks.stop)
            self._tasks.start(destinations.resume(tuple(self._plan.policies.values())), "resume")
            self._dispatching = self._tasks.start(self._dispatch.run(), "dispatch")
            self._taking_in = self._tasks.start(self._intake.run(), "intake")
            self._tasks.start(self._policies.follow(), "policies")
            parts.push_async_callback(self._receiver.stop)
            await self._receiver.start(listening, self._plan.index)
            parts.push_async_callback(self._rows.close)
            if self._settings.mdc is not None:
                self._ingest.count_on(open_counts(self._settings.data / ROW_COUNTS, this_relay()))
                await self._rows.open(self._settings.mdc)
            await parts.enter_async_context(self._serving_admin())
            self._events.engine_ready(self.admin, *self._sizes())
            yield self

    async def _open_policies(self) -> None:
        """Read the folder, make the first plan, and give back to the queue what an engine before us left."""
        await self._relations.open()
        await self._policies.load()
        self._catalog.on_change = self._recorder.on_change = self._relations.on_change = self._make_plan
        self._policies.on_graphs = self._make_plan
        self._recorder.collectors = lambda: self._catalog.snapshot.collectors
        self._memories.load(await self._jobs.remembered(self._policies.collectors))
        self._make_plan()
        with contextlib.suppress(TransientError):  # said where it failed; the leases then run out by themselves
            await self._jobs.void_leases()
            await self._drop_of_the_deleted()

    async def _drop_of_the_deleted(self) -> None:
        known = self._policies.collectors
        for collector, sums in (await read_ledger(self._database)).collectors.items():
            if collector not in known and (sums.pending or sums.dead):
                await self._jobs.drop_pending(collector)
        await self._jobs.forget_others(known)

    def _make_plan(self) -> None:
        snapshot = self._catalog.snapshot
        servers = self._known_models()
        self._models.replace(servers)
        models = {server.id for server in servers}
        plan = make_plan(snapshot.collectors, snapshot.workflows, models, self._operators, self._plan.policies)
        self._collected = plan.index
        said, self._plan = self._plan.problems, with_want(plan, self._recorder.want)
        self._memories.keep_only(self._plan.known)
        if self._plan.problems and self._plan.problems != said:
            self._events.policy_broken(ConfigurationError(self._plan.problems))
        self._receiver.publish(self._plan.index)
        if self._destinations is not None:
            self._destinations.close_gone()

    def _current_plan(self) -> Plan:
        return self._plan

    def _read(self, payload: bytes) -> Arrival | None:
        self._turns.offer()
        arrival = self._arrivals.read(payload)
        if arrival is not None:
            self._traffic.see(arrival)
        return arrival

    async def _record(self, kept: Sequence[NewJob], counts: Counter[Count], changes: Sequence[Change]) -> bool:
        self._traffic.kept(kept, counts)
        return await self._jobs.record(kept, counts, changes)

    def _decode(self, captured: Captured) -> Call:
        self._turns.offer()
        call = decode_arrival(captured.arrival)
        if self._recorder.want is not None:
            try:
                self._recorder.see(captured.arrival, call)
            except Exception as error:  # noqa: BLE001 - a recording must cost no collector its input
                self._events.capture_failed("recorder", error)
        return call

    def _sizes(self) -> tuple[int, int]:
        snapshot = self._catalog.snapshot
        return len(snapshot.collectors), len(snapshot.workflows)

    @contextlib.asynccontextmanager
    async def _serving_admin(self) -> AsyncIterator[None]:
        parts = Parts(
            settings=self._settings,
            catalog=self._catalog,
            relations=self._relations,
            database=self._database,
            events=self._events,
            clock=self._clock,
            ledger=self.ledger,
            readiness=self.readiness,
            metrics=self.metrics,
            jobs=self._jobs,
            traffic=self._shown_traffic,
            tail=self._tail,
            recorder=self._recorder,
            operators=self._operators,
            origins=origins({}, os.environ),
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
        self._tail.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_FRAMES_SECONDS):
                await self._receiver.drained()
        await self._rows.close()
        self._ingest.end()
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
        exchanges = exchange_sums(with_rows(await self._receiver.counts(), self._ingest.counts))
        return {"exchanges": exchanges, **(await read_ledger(self._database)).to_json()}

    def _shown_traffic(self, known: Sequence[str], shown: Callable[[Source], Source]) -> dict[str, Any]:
        """The whole of `/v1/traffic`; see `admin.parts`."""
        return {
            **self._traffic.to_json(known, shown),
            "passing": passing_to_json(self._receiver.passing, self._collected, shown),
        }

    async def readiness(self) -> Mapping[str, str]:
        """What is wrong with each part; blank where nothing is."""
        problems = (*self._policies.problems, *self._plan.problems)
        return {
            "relay": "" if self._receiver.relays else "no relay is connected",
            "rows": self._rows.problem,
            "database": "counts wait for the disk" if self._jobs.owes else "",
            "operators": "; ".join(str(problem) for problem in self._operator_problems),
            "policies": "; ".join(str(problem) for problem in problems),
        }

    async def metrics(self) -> bytes:
        """The Prometheus page."""
        from sidecar.admin.metrics import render  # with its library, which nobody needs before the first page

        counts = await self._receiver.counts()
        ledger = (await read_ledger(self._database)).to_json()
        gauges = {
            "sidecar_engine_up": 1.0,
            "sidecar_queue_bytes": float(self._queue.size_bytes),
            "sidecar_queue_exchanges": float(len(self._queue)),
            "sidecar_policy_files_broken": float(self._policies.broken_files),
            "sidecar_rows_waiting_to_join": float(self._ingest.waiting),
            **relay_gauges(counts),
        }
        counters = relay_counters(counts, self._events.counters)
        return render(counters, exchange_sums(with_rows(counts, self._ingest.counts)), ledger, gauges, self._breakers())

    def _breakers(self) -> list[tuple[str, Mapping[str, str], float]]:
        return [
            ("sidecar_model_breaker_open", {"model": model}, float(is_open))
            for model, is_open in self._models.open_breakers.items()
        ]
