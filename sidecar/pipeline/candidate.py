"""One input that a collector matched, up to its first verdict. Pure: a workflow that asks a model is run elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from sidecar.capture.arrival import Arrival
from sidecar.collector import Collector
from sidecar.data import to_wire
from sidecar.kit.ids import fraction
from sidecar.pipeline.plan import Policy
from sidecar.queue.values import NewJob
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, Verdict, run_without_models


class Candidate(NamedTuple):
    """One input that a collector matched, before its pre-queue workflow."""

    policy: Policy
    item: Item


_TOO_MANY = Dropped("model_unavailable", "too many calls to pre-queue models wait already")


def asks_a_model(candidate: Candidate) -> bool:
    """True if its pre-queue workflow has a model node."""
    return candidate.policy.pre_queue is not None and bool(candidate.policy.pre_queue.models)


def judge_unasked(candidate: Candidate) -> Verdict:
    """The verdict where no more models may be asked."""
    return _TOO_MANY if asks_a_model(candidate) and is_sampled(candidate) else judge(candidate)


def is_sampled(candidate: Candidate) -> bool:
    """False if the collector's `pre_queue_random_sample` leaves it out."""
    share = candidate.policy.collector.pre_queue_random_sample
    if share is None:
        return True
    item = candidate.item
    return fraction(item.exchange_id, item.input_index, item.collector, "pre_queue_random_sample") < share


def judge(candidate: Candidate) -> Verdict:
    """The pre-queue verdict of a candidate whose graph asks no model."""
    if not is_sampled(candidate):
        return Filtered("pre_queue_random_sample")
    graph = candidate.policy.pre_queue
    if graph is None:
        return Kept(candidate.item.input)
    return run_without_models(graph, candidate.item, "$output")


def new_job(arrival: Arrival, candidate: Candidate) -> NewJob:
    """The job of a candidate that is kept. Raises when its data cannot be written as JSON."""
    item = candidate.item
    return NewJob(
        exchange_id=item.exchange_id.hex(),
        input_index=item.input_index,
        collector=item.collector,
        caller=arrival.caller,
        model=arrival.route.model,
        version=str(item.input.metadata.get("version", "")),
        input=orjson.dumps(to_wire(item.input)),
        output=None if item.output is None else orjson.dumps(to_wire(item.output)),
        details=_details(arrival, candidate.policy.collector),
    )


def _details(arrival: Arrival, collector: Collector) -> str:
    exchange = arrival.exchange
    return orjson.dumps(
        {
            "started_at": exchange.started_at,
            "latency_seconds": exchange.latency_seconds,
            "sample_exchanges": collector.sample_exchanges,
            "pre_queue_random_sample": collector.pre_queue_random_sample,
        }
    ).decode()
