"""One input that a collector matched, up to its first verdict and redacted. Pure: a workflow that asks a model is run
elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from sidecar.capture.arrival import Arrival
from sidecar.data import Data, to_wire
from sidecar.kit.ids import fraction
from sidecar.kit.json import dumps
from sidecar.pipeline.plan import Policy
from sidecar.protocol.call import Call
from sidecar.queue.values import NewJob
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, Verdict, run_without_models
from sidecar.workflow.trace import trace


class Candidate(NamedTuple):
    """One input that a collector matched, before its pre-queue workflow."""

    policy: Policy
    item: Item


class RedactedItem(Item):
    """An item as its collector may keep it, redacted when first looked at. Looking may raise UnredactableError."""

    __slots__ = ("_redacted", "_redaction", "whole")

    def __init__(self, redaction: Redaction, whole: Item) -> None:
        super().__init__(
            whole.exchange_id, whole.input_index, whole.collector, (), None, whole.started_at,
            model_failed=whole.model_failed,
        )  # fmt: skip
        self._redaction = redaction
        self.whole = whole
        """The item with nothing taken out: for verdicts alone."""
        self._redacted: tuple[Data, Data | None] | None = None

    def both(self) -> tuple[Data, Data | None]:
        """The input and the output. Raises UnredactableError."""
        if self._redacted is None:
            self._redacted = self._redaction.input(self.whole.input), self._redaction.output(self.whole.output)
        return self._redacted

    @property
    def input(self) -> Data:
        return self.both()[0]

    @property
    def output(self) -> Data | None:
        return self.both()[1]

    @property
    def has_output(self) -> bool:
        return self.output is not None


def to_ask(policy: Policy, item: Item) -> Candidate:
    """A candidate among others that ask models: what leaves the process is redacted too, before the first node."""
    return Candidate(policy, redacted(policy, item) if policy.asks_a_model else item)


def redacted(policy: Policy, item: Item) -> Item:
    if policy.redaction is None or isinstance(item, RedactedItem):
        return item
    return RedactedItem(policy.redaction, item)


def items_of(policies: Sequence[Policy], arrival: Arrival, call: Call, now: float) -> list[tuple[Policy, Item]]:
    """Every input of a call for every policy that wants it. Collected rows name their time themselves: what is to come
    counts as `now`."""
    inputs, outputs = call.inputs, call.outputs
    exchange_id, started_at = arrival.id, min(arrival.started_at, now)
    has_failed = model_failed(arrival.status, arrival.asked.metadata.get("origin"))
    items: list[tuple[Policy, Item]] = []
    for policy in policies:
        for index in range(len(inputs)):
            item = Item(exchange_id, index, policy.key, inputs, outputs, started_at, model_failed=has_failed)
            items.append((policy, redacted(policy, item) if policy.redacts_first else item))
    return items


MODEL_FAILED = "model_failed"
NOT_ANSWERED = Filtered(MODEL_FAILED)
_NOT_SAMPLED = Filtered("pre_queue_random_sample")


def reason_of(end: Filtered) -> str:
    """Under which reason an input that was filtered before the queue is counted."""
    return MODEL_FAILED if end is NOT_ANSWERED else "pre_queue"


_TOO_MANY = Dropped("model_unavailable", "too many calls to pre-queue models wait already")


def judge_unasked(candidate: Candidate) -> Verdict:
    """The verdict where no more models may be asked."""
    return _TOO_MANY if candidate.policy.asks_a_model and is_looked_at(*candidate) else judge(*candidate)


def is_looked_at(policy: Policy, item: Item) -> bool:
    """True if a workflow, where there is one, decides."""
    return not is_left_out(policy, item) and is_sampled(policy, item)


def model_failed(status: object, origin: object) -> bool:
    """By what an input's metadata tell. Rows that scoring code collected have no status to go by: they are no
    failures."""
    return isinstance(status, int) and not 200 <= status < 300 and origin != "collect"


def is_left_out(policy: Policy, item: Item) -> bool:
    """True if the model failed on the input and its collector does not `collect_failures`."""
    return item.model_failed and not policy.collector.collect_failures


def is_sampled(policy: Policy, item: Item) -> bool:
    """False if the collector's `pre_queue_random_sample` leaves it out."""
    share = policy.collector.pre_queue_random_sample
    if share is None:
        return True
    return fraction(item.exchange_id, item.input_index, item.collector, "pre_queue_random_sample") < share


def judge(policy: Policy, item: Item) -> Verdict:
    """The pre-queue verdict of an input for a policy whose graph asks no model."""
    if is_left_out(policy, item):
        return NOT_ANSWERED
    if not is_sampled(policy, item):
        return _NOT_SAMPLED
    if isinstance(item, RedactedItem):
        try:
            item.both()  # else what cannot be redacted would fail inside a node, under another name
        except UnredactableError as error:
            return Dropped("unredactable", str(error))
    graph = policy.pre_queue
    return Kept(item.input) if graph is None else run_without_models(graph, item, "$output")


def new_job(arrival: Arrival, policy: Policy, item: Item, kept: Kept) -> NewJob:
    """The job of an input that is `kept`, redacted. Raises UnredactableError; also when its data cannot be JSON."""
    item = redacted(policy, item)
    given, output = item.input, item.output
    return NewJob(
        exchange_id=item.exchange_id.hex(),
        input_index=item.input_index,
        collector=item.collector,
        caller=arrival.asked.caller if policy.redaction is None else str(given.metadata.get("caller", "")),
        model=arrival.asked.route.model,
        version=str(given.metadata.get("version", "")),
        input=dumps(to_wire(given)),
        output=None if output is None else dumps(to_wire(output)),
        details=_details(arrival, policy, kept),
        destinations=policy.destinations,
        has_workflow=policy.post_queue is not None,
    )


def _details(arrival: Arrival, policy: Policy, kept: Kept) -> str:
    details: dict[str, Any] = {
        "started_at": arrival.started_at,
        "latency_seconds": arrival.latency_seconds,
        "status": arrival.status,
        "sample_exchanges": policy.collector.sample_exchanges,
        "pre_queue_random_sample": policy.collector.pre_queue_random_sample,
    }
    if policy.pre_queue is not None and kept.outputs is not None:
        details["trace"] = trace(policy.pre_queue, kept.outputs, has_content=policy.redaction is None)
    return orjson.dumps(details).decode()
