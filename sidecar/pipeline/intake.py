"""Capture → match → pre-queue workflow → durable queue: the first half of an input's way.

Owns the order. Promises that an exchange's receipt is given only when every input that a collector matched is in the
ledger, so that what a kill takes is at most what was not yet matched, and that every exchange gets one whatever fails.
Exchanges are grouped into one transaction, bounded by their inputs: a small body may hold thousands. A workflow that
asks a model runs beside the batch, bounded in number and time, and never holds the others up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured, Connection
from sidecar.data import Data
from sidecar.errors import SidecarError, TransientError
from sidecar.events import Events
from sidecar.kit.ids import fraction_of_id
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.candidate import Candidate, asks_a_model, is_sampled, judge, judge_unasked, new_job
from sidecar.pipeline.models import finish
from sidecar.pipeline.plan import Plan
from sidecar.protocol.call import Call
from sidecar.queue.values import NewJob
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, ModelRequest, Verdict, run

BATCH = 512
GATHER_SECONDS = 0.1
"""How long exchanges gather: a transaction costs about the same for one and for a hundred."""
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
        self.exchanges: list[Captured] = []
        self.inputs = 0


class Intake:
    """Takes exchanges from `queue` until it is closed and empty."""

    def __init__(
        self,
        queue: KeyedQueue[Captured],
        plan: Callable[[], Plan],
        decode: Callable[[Captured], Call],
        record: Callable[[Sequence[NewJob], Counter[Count]], Awaitable[bool]],
        paid: Callable[[], Awaitable[None]],
        ask: Callable[[ModelRequest], Awaitable[Data]],
        events: Events,
    ) -> None:
        self._queue = queue
        self._plan = plan
        self._decode = decode
        self._record = record
        self._paid = paid
        self._ask = ask
        self._events = events
        self._asking = Tasks(events.task_failed)
        self._unpaid: list[Connection] = []
        self._paying = Tasks(events.task_failed)

    async def run(self) -> None:
        """Work until the queue is closed and empty, and until every model that was asked has answered."""
        while batch := await self._queue.get_batch(BATCH, GATHER_SECONDS):
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
            is_written = not record.inputs or await self._record(record.kept, record.counts)
        except Exception as error:  # noqa: BLE001 - it counts what the storage refuses; a bug must cost this batch alone
            for captured in record.exchanges:
                self._fail(captured, error)
            return
        if is_written:
            for captured in record.exchanges:
                captured.taken()
            return
        self._unpaid += [captured.connection for captured in record.exchanges]
        if not len(self._paying):
            self._paying.start(self._acknowledge_when_paid(), "receipts that wait for the disk")

    async def _acknowledge_when_paid(self) -> None:
        """A count that a full disk keeps in memory dies with the engine; so its exchange has no receipt until then."""
        while self._unpaid:
            await self._paid()
            unpaid, self._unpaid = self._unpaid, []
            for connection in unpaid:
                connection.acknowledge("taken")

    def _fail(self, captured: Captured, error: Exception) -> None:
        self._events.capture_failed("intake", error)
        captured.lost("capture_failed")

    def _consider(self, plan: Plan, captured: Captured, record: Record) -> None:
        """Add the exchange to `record`, or see to it that its receipt comes from elsewhere."""
        candidates = self._candidates(plan, captured)
        if not candidates:
            captured.unwanted()
        elif any(asks_a_model(candidate) for candidate in candidates):
            self._start_asking(captured, candidates)
        else:
            self._add(record, captured, candidates, [judge(candidate) for candidate in candidates])

    def _candidates(self, plan: Plan, captured: Captured) -> list[Candidate]:
        arrival = captured.arrival
        if arrival.route.model not in plan.index.models:
            return []
        call = self._decode(captured)
        if call.error:
            self._events.exchange_undecoded(call.protocol, call.error)
        exchange_id = arrival.exchange.id
        collectors = plan.matcher.match(
            call.model, call.version, arrival.caller, call.user, call.app, fraction_of_id(exchange_id)
        )
        return [
            Candidate(plan.policies[collector.key], Item(exchange_id, index, collector.key, given, output))
            for collector in collectors
            for index, (given, output) in enumerate(zip(call.inputs, call.outputs, strict=True))
        ]

    def _start_asking(self, captured: Captured, candidates: list[Candidate]) -> None:
        if len(self._asking) < ASKING_AT_ONCE:
            self._asking.start(self._consider_asking(captured, candidates), "pre-queue model call")
            return
        self._asking.start(self._consider_asking(captured, candidates, may_ask=False), "pre-queue without its model")

    async def _consider_asking(self, captured: Captured, candidates: list[Candidate], *, may_ask: bool = True) -> None:
        record = Record()
        try:
            verdicts = await self._judge_all(candidates) if may_ask else [judge_unasked(each) for each in candidates]
            self._add(record, captured, candidates, verdicts)
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
            except SidecarError as error:
                verdicts.append(Dropped("model_unavailable", str(error)))
                if isinstance(error, TransientError):
                    away[key] = verdicts[-1]
            except Exception as error:  # noqa: BLE001 - it costs this input alone, under its name
                verdicts.append(self._failed(error))
        return verdicts

    async def _judge_asking(self, candidate: Candidate) -> Verdict:
        graph = candidate.policy.pre_queue
        if graph is None or not asks_a_model(candidate) or not is_sampled(candidate):
            return judge(candidate)
        return await finish(run(graph, candidate.item, "$output"), self._ask)

    def _add(
        self, record: Record, captured: Captured, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
    ) -> None:
        record.exchanges.append(captured)
        record.inputs += len(candidates)
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            end = verdict
            if isinstance(end, Kept):
                try:
                    record.kept.append(new_job(captured.arrival, candidate))
                    continue
                except Exception as error:  # noqa: BLE001 - what cannot be written costs this input alone
                    end = self._failed(error)
            self._count(record, candidate.policy.collector.key, end)

    def _count(self, record: Record, key: str, end: Filtered | Dropped) -> None:
        if isinstance(end, Filtered):
            record.counts[key, "filtered", "pre_queue"] += 1
            return
        record.counts[key, "dropped", end.reason] += 1
        if end.reason == "operator_failed":
            self._events.operator_failed(key, end.detail)

    def _failed(self, error: Exception) -> Dropped:
        self._events.capture_failed("intake", error)
        return Dropped("capture_failed", type(error).__name__)
