"""Capture → match → pre-queue workflow → durable queue: the first half of an input's way.

Owns the order. Promises that an exchange's receipt is given only when every input that a collector matched is in the
ledger, so that what a kill takes is at most what was not yet matched. Batches are grouped into one transaction. A
workflow that asks a model runs beside the batch, bounded in number and time, and never holds the others up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import orjson

from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.collector import Collector
from sidecar.data import Data, to_wire
from sidecar.errors import SidecarError
from sidecar.events import Events
from sidecar.kit.ids import fraction, fraction_of_id
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.models import finish
from sidecar.pipeline.plan import Plan, Policy
from sidecar.protocol.call import Call
from sidecar.queue.values import NewJob
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, ModelRequest, Verdict, run, run_without_models

BATCH = 256
ASKING_AT_ONCE = 256
"""Exchanges whose pre-queue workflows may be waiting for a model at one time."""

Count = tuple[str, str, str]
"""(collector key, verdict, reason)."""


class Candidate(NamedTuple):
    """One input that a collector matched, before its pre-queue workflow."""

    policy: Policy
    item: Item


class Record(NamedTuple):
    """What one exchange adds to the queue and to the ledger."""

    kept: list[NewJob]
    counts: Counter[Count]


class Intake:
    """Takes exchanges from `queue` until it is closed and empty."""

    def __init__(
        self,
        queue: KeyedQueue[Captured],
        plan: Callable[[], Plan],
        decode: Callable[[Captured], Call],
        record: Callable[[Sequence[NewJob], Counter[Count]], Awaitable[None]],
        ask: Callable[[ModelRequest], Awaitable[Data]],
        events: Events,
    ) -> None:
        self._queue = queue
        self._plan = plan
        self._decode = decode
        self._record = record
        self._ask = ask
        self._events = events
        self._asking = Tasks(events.task_failed)

    async def run(self) -> None:
        """Work until the queue is closed and empty, and until every model that was asked has answered."""
        while batch := await self._queue.get_batch(BATCH):
            await self._take(batch)
        await self._asking.drained()

    async def stop(self) -> None:
        """End what still waits for a model; safe twice."""
        await self._asking.stop()

    async def _take(self, batch: Sequence[Captured]) -> None:
        plan = self._plan()
        record = Record([], Counter())
        recorded = []
        for captured in batch:
            try:
                is_recorded = self._consider(plan, captured, record)
            except Exception as error:  # noqa: BLE001 - one exchange that trips a bug of ours must not stop the others
                self._events.capture_failed("intake", error)
                captured.lost("capture_failed")
                continue
            if is_recorded:
                recorded.append(captured)
        if record.kept or record.counts:
            await self._record(record.kept, record.counts)
        for captured in recorded:
            captured.taken()

    def _consider(self, plan: Plan, captured: Captured, record: Record) -> bool:
        """Add the exchange to `record`; False when it went another way and its receipt comes from there."""
        candidates = self._candidates(plan, captured)
        if not candidates:
            captured.unwanted()
            return False
        if any(_asks_a_model(candidate) for candidate in candidates):
            self._start_asking(captured, candidates)
            return False
        verdicts = [_judge(candidate) for candidate in candidates]
        self._add(record, captured, candidates, verdicts)
        return True

    def _candidates(self, plan: Plan, captured: Captured) -> list[Candidate]:
        arrival = captured.arrival
        if arrival.route.model not in plan.index.models:
            return []
        call = self._decode(captured)
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
        record = Record([], Counter())
        try:
            verdicts = [await self._judge_asking(candidate, may_ask=may_ask) for candidate in candidates]
            self._add(record, captured, candidates, verdicts)
        except Exception as error:  # noqa: BLE001 - as in _take
            self._events.capture_failed("intake", error)
            captured.lost("capture_failed")
            return
        await self._record(record.kept, record.counts)
        captured.taken()

    async def _judge_asking(self, candidate: Candidate, *, may_ask: bool) -> Verdict:
        graph = candidate.policy.pre_queue
        if graph is None or not graph.models or not _is_sampled(candidate):
            return _judge(candidate)
        if not may_ask:
            return _TOO_MANY
        try:
            return await finish(run(graph, candidate.item, "$output"), self._ask)
        except SidecarError as error:
            return Dropped("model_unavailable", str(error))

    def _add(
        self, record: Record, captured: Captured, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
    ) -> None:
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            key = candidate.policy.collector.key
            if isinstance(verdict, Kept):
                record.kept.append(_job(captured, candidate))
            elif isinstance(verdict, Filtered):
                record.counts[key, "filtered", "pre_queue"] += 1
            else:
                record.counts[key, "dropped", verdict.reason] += 1
                if verdict.reason == "operator_failed":
                    self._events.operator_failed(key, verdict.detail)


_TOO_MANY = Dropped("model_unavailable", "too many calls to pre-queue models wait already")


def _asks_a_model(candidate: Candidate) -> bool:
    return candidate.policy.pre_queue is not None and bool(candidate.policy.pre_queue.models)


def _is_sampled(candidate: Candidate) -> bool:
    share = candidate.policy.collector.pre_queue_random_sample
    if share is None:
        return True
    item = candidate.item
    return fraction(item.exchange_id, item.input_index, item.collector, "pre_queue_random_sample") < share


def _judge(candidate: Candidate) -> Verdict:
    """The pre-queue verdict of a candidate whose graph asks no model."""
    if not _is_sampled(candidate):
        return Filtered("pre_queue_random_sample")
    graph = candidate.policy.pre_queue
    if graph is None:
        return Kept(candidate.item.input)
    return run_without_models(graph, candidate.item, "$output")


def _job(captured: Captured, candidate: Candidate) -> NewJob:
    item = candidate.item
    arrival = captured.arrival
    return NewJob(
        exchange_id=item.exchange_id.hex(),
        input_index=item.input_index,
        collector=item.collector,
        caller=arrival.caller,
        model=arrival.route.model,
        version=str(item.input.metadata.get("version", "")),
        input=orjson.dumps(to_wire(item.input)),
        output=None if item.output is None else orjson.dumps(to_wire(item.output)),
        details=_details(captured, candidate.policy.collector),
    )


def _details(captured: Captured, collector: Collector) -> str:
    exchange = captured.arrival.exchange
    return orjson.dumps(
        {
            "started_at": exchange.started_at,
            "latency_seconds": exchange.latency_seconds,
            "sample_exchanges": collector.sample_exchanges,
            "pre_queue_random_sample": collector.pre_queue_random_sample,
        }
    ).decode()
