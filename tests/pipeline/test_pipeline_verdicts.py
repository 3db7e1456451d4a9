"""Verdicts without reading what nobody looks at are those of reading everything; and matching costs no more for others.

The naive side decodes every input and output, runs every node, and knows of no short cut.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchanges import payload_of, predict
from support.policies import below, collector, node, plan

from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers
from sidecar.collector import Collector, Node, Source, Workflow
from sidecar.exchange import Exchange
from sidecar.kit.ids import fraction
from sidecar.pipeline.candidate import judge
from sidecar.pipeline.plan import Plan
from sidecar.protocol.call import Call
from sidecar.workflow.graph import Graph
from sidecar.workflow.run import Filtered, Item, Kept, Verdict, run

READER = ArrivalReader(Callers("x-caller-id", {}), ())
TARGETS = {
    "/v1/models/digits:predict": ("instances", "predictions"),
    "/v2/models/digits/infer": ("inputs", "outputs"),
    "/v2/models/digits/outputs": ("inputs", "outputs"),
}


def tensor(rows: Sequence[Any]) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [len(rows)], "data": list(rows)}


values = st.sampled_from([0.5, 1, "text", None, [0.5, 0.5], [0.9, 0.1], [0.2, 0.2], {"label": "cat", "score": 0.4}, []])
concepts = st.lists(st.fixed_dictionaries({"id": st.sampled_from("ab"), "value": st.floats(0, 1)}), max_size=2)
items = st.one_of(
    st.lists(values, max_size=3),
    st.lists(values, min_size=1, max_size=3).map(lambda rows: [tensor(rows)]),
    st.lists(st.builds(lambda found: {"data": {"concepts": found}}, concepts), max_size=3),
)
fields = st.sampled_from(["any", "all"])


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    target = draw(st.sampled_from(sorted(TARGETS)))
    asked, answered = TARGETS[target]
    request = draw(st.builds(lambda given_items: {asked: given_items}, items) | st.sampled_from([b"{", {}, b"\xff"]))
    answer = draw(st.builds(lambda given_items: {answered: given_items}, items) | st.sampled_from([b"{", {}]))
    exchange = predict(
        target,
        request,
        answer,
        status=draw(st.sampled_from([200, 200, 200, 500])),
        has_answer=draw(st.sampled_from([True, True, True, False])),
        is_whole=draw(st.sampled_from([True, True, True, False])),
    )
    return exchange._replace(id=draw(st.binary(min_size=16, max_size=16)))


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 4))):
        name = f"n{number}"
        source = draw(st.sampled_from(["", "$input", "$output", *(each.id for each in nodes)]))
        kind = draw(st.sampled_from(["sample", "threshold", "fails", "disagree"]))
        if kind == "sample":
            params = {"keep_fraction": draw(st.sampled_from([0.0, 0.3, 0.6, 1.0]))}
            made = node(name, type_id="random-sample", params=params)
        elif kind == "threshold":
            made = below(name, draw(st.sampled_from([0.3, 0.6, 1.0])))
        elif kind == "fails":
            made = node(name, type_id="metadata-filter", params={"expression": "length(status) > `0`"})
        else:
            other = draw(st.sampled_from(["$output", *(each.id for each in nodes)]))
            made, source = node(name, source or "$output", other, type_id="disagreement-filter"), ""
        nodes.append(Node(made.id, made.model, (source,) if source else made.inputs))
    return Workflow("w", tuple(nodes))


def naive(graph: Graph | None, share: float | None, item: Item) -> Verdict:
    draws = (item.exchange_id, item.input_index, item.collector, "pre_queue_random_sample")
    if share is not None and fraction(*draws) >= share:
        return Filtered("sample")
    if graph is None:
        return Kept(item.input)
    try:
        next(run(graph, item, "$output"))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
    raise AssertionError("no node asks a model")


def told(verdict: Verdict) -> tuple[object, ...]:
    """What the ledger is told; of several nodes that would have emptied an input it does not tell which did."""
    return (type(verdict),) if isinstance(verdict, Kept | Filtered) else (type(verdict), verdict.reason, verdict.detail)


@settings(max_examples=400)
@given(exchanges(), workflows(), st.sampled_from([None, 0.5]))
def test_nothing_that_is_left_unread_changes_a_verdict(
    exchange: Exchange, workflow: Workflow, share: float | None
) -> None:
    now = plan([collector(pre_queue_workflow_id="w", pre_queue_random_sample=share)], workflow)
    if not now.policies:
        return  # a graph that could never run
    (policy,) = now.policies.values()
    lazy, whole = decoded(exchange), decoded(exchange)
    inputs, outputs = tuple(whole.inputs), tuple(whole.outputs)
    assert len(lazy.inputs) == len(lazy.outputs) == len(inputs) == len(outputs)
    for index, (given_data, output) in enumerate(zip(inputs, outputs, strict=True)):
        item = Item(exchange.id, index, "kept", lazy.inputs, lazy.outputs)
        expected = naive(policy.pre_queue, share, Item(exchange.id, index, "kept", given_data, output))
        assert told(judge(policy, item)) == told(expected)
        assert (item.input, item.output, item.has_output) == (given_data, output, output is not None)


def arrived(exchange: Exchange) -> Arrival:
    arrival = READER.read(payload_of(exchange))
    assert arrival is not None
    return arrival


def decoded(exchange: Exchange) -> Call:
    return decode_arrival(arrived(exchange))


@pytest.mark.parametrize("others", [10, 10_000])
def test_what_an_exchange_costs_does_not_grow_with_the_collectors_of_others(others: int) -> None:
    def among(count: int) -> Plan:
        crowd = [Collector(f"c{n}", Source(f"m{n % 50}", caller_user_id=f"caller {n}")) for n in range(count)]
        return plan([*crowd, collector(pre_queue_workflow_id="w")], Workflow("w", (below("unsure", 0.6),)))

    exchange = predict("/v1/models/digits:predict", {"instances": [[1.0]]}, {"predictions": [[0.5, 0.5]]})
    assert consider(among(1), exchange) == consider(among(others), exchange) == [(Kept,)]
    few, many = among(1), among(others)
    for _first_then_again in range(2):
        assert calls_of(lambda: consider(many, exchange)) == calls_of(lambda: consider(few, exchange))


def consider(now: Plan, exchange: Exchange) -> list[tuple[object, ...]]:
    """What intake does with one exchange up to its verdicts."""
    arrival = arrived(exchange)
    call = decode_arrival(arrival)
    watching = now.watching(call.model, call.version, arrival.asked.caller, call.user, call.app)
    return [
        told(judge(policy, Item(arrival.id, index, policy.key, call.inputs, call.outputs)))
        for policy in watching.policies
        for index in range(len(call.inputs))
    ]


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """Every call that `work` makes, of Python's functions and of C's, by name."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            calls[getattr(argument, "__qualname__", "")] += 1

    gc.disable()  # what is told of a collection of garbage is no call of ours
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls
