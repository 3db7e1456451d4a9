"""Capture → match → pre-queue workflow → durable queue: the first half of an input's way.

Owns the order. Promises that an exchange's receipt is given only when every input that a collector matched is in the
ledger, so that what a kill takes is at most what was not yet matched, and that every exchange gets one whatever fails.
Exchanges are grouped into one transaction, bounded by their inputs: a small body may hold thousands. A workflow that
asks a model runs beside the batch, bounded in number and time, and never holds the others up.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import TAKEN, UNWANTED, Captured, Receipts
from sidecar.data import Data
from sidecar.errors import SidecarError, TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock, SystemClock
from sidecar.kit.ids import fraction_of_id
from sidecar.kit.tasks import Tasks
from sidecar.memory import Change, give_back
from sidecar.pipeline.candidate import (
    Candidate,
    RedactedItem,
    is_looked_at,
    items_of,
    judge,
    judge_unasked,
    new_job,
    reason_of,
    to_ask,
)
from sidecar.pipeline.held import withdraw_displaced
from sidecar.pipeline.models import finish, refusal_of
from sidecar.pipeline.plan import Plan, Policy
from sidecar.pipeline.tail import Ended, Tail
from sidecar.protocol.call import Call
from sidecar.queue.values import NewJob
from sidecar.redaction.detectors import UnredactableError
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, ModelRequest, Verdict, run

BATCH = 1024
GATHER_SECONDS = 0.1
BUSY_GATHER_SECONDS = 0.25
"""How long exchanges gather: a transaction costs about the same for one and for a hundred. Longer while batches are of
more than `BUSY_EXCHANGES`."""
BUSY_EXCHANGES = 64
INPUTS_AT_ONCE = 1024
"""Inputs that may be matched before they are written."""
TURN_SECONDS = 0.005
"""How long the loop is held for matching: every step of a delivery waits for as long."""
ASKING_AT_ONCE = 256
"""Exchanges whose pre-queue workflows may be waiting for a model at one time."""

Count = tuple[str, str, str]
"""(collector key, verdict, reason)."""


class Record:
    """What a few exchanges add to the queue and to the ledger."""

    def __init__(self) -> None:
        self.kept: list[NewJob] = []
        self.counts: Counter[Count] = Counter()
        self.changes: list[Change] = []
        self.exchanges: list[Captured] = []
        self.inputs = 0


class Intake:
    """Takes exchanges from `queue` until it is closed and empty."""

    def __init__(
        self,
        queue: KeyedQueue[Captured],
        plan: Callable[[], Plan],
        decode: Callable[[Captured], Call],
        record: Callable[[Sequence[NewJob], Counter[Count], Sequence[Change]], Awaitable[bool]],
        paid: Callable[[], Awaitable[None]],
        ask: Callable[[ModelRequest], Awaitable[Data]],
        events: Events,
        clock: Clock | None = None,
        tail: Tail | None = None,
    ) -> None:
        self._queue = queue
        self._now = (clock or SystemClock()).now
        self._plan = plan
        self._decode = decode
        self._record = record
        self._paid = paid
        self._ask = ask
        self._events = events
        self._tail = tail or Tail()
        self._asking = Tasks(events.task_failed)
        self._unpaid: list[Receipts] = []
        self._paying = Tasks(events.task_failed)

    async def run(self) -> None:
        """Work until the queue is closed and empty, and until every model that was asked has answered."""
        gather_seconds = GATHER_SECONDS
        while batch := await self._queue.get_batch(BATCH, gather_seconds):
            gather_seconds = BUSY_GATHER_SECONDS if len(batch) > BUSY_EXCHANGES else GATHER_SECONDS
            await self._take(batch)
        await self._asking.drained()

    async def stop(self) -> None:
        """End what still waits for a model or for the disk; safe twice."""
        await self._asking.stop()
        await self._paying.stop()

    async def _take(self, batch: Sequence[Captured]) -> None:
        plan = self._plan()
        record = Record()
        now = asyncio.get_running_loop().time
        turn_ends = now() + TURN_SECONDS
        for captured in batch:
            try:
                self._consider(plan, captured, record)
            except Exception as error:  # noqa: BLE001 - one exchange that trips a bug of ours must not stop the others
                self._fail(captured, error)
            if record.inputs >= INPUTS_AT_ONCE:
                await self._write(record)
                record = Record()
            if now() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = now() + TURN_SECONDS
        await self._write(record)

    async def _write(self, record: Record) -> None:
        try:
            if record.changes:
                withdraw_displaced(record.kept, record.counts, record.changes)
            is_written = not record.inputs or await self._record(record.kept, record.counts, record.changes)
        except Exception as error:  # noqa: BLE001 - it counts what the storage refuses; a bug must cost this batch alone
            give_back(record.changes)
            for captured in record.exchanges:
                self._fail(captured, error)
            return
        if is_written:
            _acknowledge_taken([captured.connection for captured in record.exchanges])
            return
        self._unpaid += [captured.connection for captured in record.exchanges]
        if not len(self._paying):
            self._paying.start(self._acknowledge_when_paid(), "receipts that wait for the disk")

    async def _acknowledge_when_paid(self) -> None:
        """A count that a full disk keeps in memory dies with the engine; so its exchange has no receipt until then."""
        while self._unpaid:
            await self._paid()
            unpaid, self._unpaid = self._unpaid, []
            _acknowledge_taken(unpaid)

    def _fail(self, captured: Captured, error: Exception) -> None:
        self._events.capture_failed("intake", error)
        captured.lost("capture_failed")

    def _consider(self, plan: Plan, captured: Captured, record: Record) -> None:
        """Add the exchange to `record`, or see to it that its receipt comes from elsewhere."""
        arrival = captured.arrival
        models = plan.index.models
        if arrival.asked.route.model not in models and "" not in models:
            captured.connection.acknowledge(UNWANTED)
            return
        call = self._decode(captured)
        watching = plan.watching(call.model, call.version, arrival.asked.caller, call.user, call.app)
        if call.error:
            self._events.exchange_undecoded(call.protocol, watching.told(call.error))
        policies = watching.policies
        if watching.samples_exchanges:
            policies = watching.sampled(fraction_of_id(arrival.id))
        if not policies or not call.inputs:
            captured.connection.acknowledge(UNWANTED)
            if self._tail.is_heard:
                self._tell(captured, call.version, ())
        elif watching.asks_a_model and any(policy.asks_a_model for policy in policies):
            self._start_asking(
                captured, call.version, [to_ask(*each) for each in items_of(policies, arrival, call, self._now())]
            )
        else:
            self._judge(record, captured, policies, call)

    def _judge(self, record: Record, captured: Captured, policies: Sequence[Policy], call: Call) -> None:
        self._add(
            record,
            captured,
            call.version,
            [(*each, judge(*each)) for each in items_of(policies, captured.arrival, call, self._now())],
        )

    def _start_asking(self, captured: Captured, version: str, candidates: list[Candidate]) -> None:
        may_ask = len(self._asking) < ASKING_AT_ONCE
        name = "pre-queue model call" if may_ask else "pre-queue without its model"
        self._asking.start(self._consider_asking(captured, version, candidates, may_ask=may_ask), name)

    async def _consider_asking(
        self, captured: Captured, version: str, candidates: list[Candidate], *, may_ask: bool
    ) -> None:
        record = Record()
        try:
            verdicts = await self._judge_all(candidates) if may_ask else [judge_unasked(each) for each in candidates]
            self._add(record, captured, version, [(*each, end) for each, end in zip(candidates, verdicts, strict=True)])
        except Exception as error:  # noqa: BLE001 - as in _take
            self._fail(captured, error)
            return
        await self._write(record)

    async def _judge_all(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One after the other; a model that is away is not waited for again for the collector's other inputs."""
        away: dict[str, Verdict] = {}
        verdicts: list[Verdict] = []
        for candidate in candidates:
            key = candidate.policy.collector.key
            try:
                verdicts.append(away.get(key) or await self._judge_asking(candidate))
            except UnredactableError as error:
                verdicts.append(Dropped("unredactable", str(error)))
            except SidecarError as error:
                is_away = isinstance(error, TransientError)
                verdicts.append(Dropped("model_unavailable" if is_away else refusal_of(error), str(error)))
                if is_away:
                    away[key] = verdicts[-1]
            except Exception as error:  # noqa: BLE001 - it costs this input alone, under its name
                verdicts.append(self._failed(error))
        return verdicts

    async def _judge_asking(self, candidate: Candidate) -> Verdict:
        graph = candidate.policy.pre_queue
        if graph is None or not candidate.policy.asks_a_model or not is_looked_at(*candidate):
            return judge(*candidate)
        if isinstance(candidate.item, RedactedItem):
            candidate.item.both()  # what cannot be redacted fails here, under its own name, and not inside a node
        return await finish(run(graph, candidate.item, "$output"), self._ask)

    def _add(
        self, record: Record, captured: Captured, version: str, ends: Sequence[tuple[Policy, Item, Verdict]]
    ) -> None:
        record.exchanges.append(captured)
        record.inputs += len(ends)
        told: list[Ended] | None = [] if self._tail.is_heard else None
        for policy, item, verdict in ends:
            end = verdict
            if isinstance(end, Kept):
                try:
                    record.kept.append(new_job(captured.arrival, policy, item, end))
                    record.changes += item.changes
                    if told is not None:
                        told.append((policy.key, end))
                    continue
                except UnredactableError as error:
                    end = Dropped("unredactable", str(error))
                except Exception as error:  # noqa: BLE001 - what cannot be written costs this input alone
                    end = self._failed(error)
            self._count(record, policy, item, end)
            if told is not None:
                told.append((policy.key, end))
        if told is not None:
            self._tell(captured, version, told)

    def _tell(self, captured: Captured, version: str, ends: Sequence[Ended]) -> None:
        try:
            self._tail.tell(self._plan(), captured.arrival, version, ends)
        except Exception as error:  # noqa: BLE001 - whoever listens must cost no collector its input
            self._events.capture_failed("tail", error)

    def _count(self, record: Record, policy: Policy, item: Item, end: Filtered | Dropped) -> None:
        key = policy.key
        if isinstance(end, Filtered):
            record.counts[key, "filtered", reason_of(end)] += 1
            item.let_go()
            record.changes += item.changes
            return
        item.give_back()
        record.counts[key, "dropped", end.reason] += 1
        if end.reason == "operator_failed":
            self._events.operator_failed(key, policy.told(end.detail))

    def _failed(self, error: Exception) -> Dropped:
        self._events.capture_failed("intake", error)
        return Dropped("capture_failed", type(error).__name__)


def _acknowledge_taken(connections: Iterable[Receipts]) -> None:
    """One receipt for each exchange; `connections` has the one of each, in order."""
    for connection, exchanges in itertools.groupby(connections):
        connection.acknowledge(TAKEN, len(list(exchanges)))
