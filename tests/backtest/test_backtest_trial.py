"""A trial counts every input once, weighs it by the rates of its record, and draws samples as the engine does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.policies import below, collector, node
from support.records import recorded

from sidecar.backtest.comparison import Comparison
from sidecar.backtest.drafts import Draft
from sidecar.backtest.report import DAY_SECONDS, trial_report
from sidecar.backtest.trial import OTHERS, Ask, Names, Trial, ask_none
from sidecar.collector import Collector, Node, RedactRule, Status, Workflow
from sidecar.data import Concept, Data, Raw, Text
from sidecar.errors import ConfigurationError, PermanentError, TransientError
from sidecar.kit.ids import fraction, fraction_of_id
from sidecar.memory import Memories
from sidecar.model_server import ModelServer
from sidecar.protocol.call import Call
from sidecar.records.recorded import Recorded
from sidecar.workflow.operators.operator import Ground
from sidecar.workflow.operators.registry import Operators
from sidecar.workflow.run import ModelRequest

ANY_60 = (("*", 0.6),)
SURE, UNSURE = [0.9, 0.1], [0.5, 0.5]
MODELS = (ModelServer("other", "http://other/v1/models/other:predict"),)


def trial(policy: Collector, *nodes: Node, ask: Ask = ask_none, name: str = "flow") -> Trial:
    operators = Operators(ground=Ground(memories=Memories()))
    return Draft(policy, (Workflow(name, nodes),) if nodes else (), MODELS, operators).trial(ask)


def pre_queue(*nodes: Node, ask: Ask = ask_none, **fields: Any) -> Trial:
    return trial(collector(pre_queue_workflow_id="flow", **fields), *nodes, ask=ask)


def run(tried: Trial, exchanges: Sequence[Recorded]) -> dict[str, Any]:
    for each in exchanges:
        tried.take(each)
    tried.finish()
    return trial_report(tried)


def kept_of(tried: Trial, exchange: Recorded) -> list[int]:
    kept: list[int] = []
    tried.on_kept = lambda _id, index: kept.append(index)
    tried.take(exchange)
    return kept


def test_each_node_says_what_went_in_and_what_came_out() -> None:
    tried = pre_queue(below("unsure", 0.6), node("first", "unsure", type_id="first-n", params={"n": 2}))
    found = run(tried, [recorded(1, SURE, UNSURE, UNSURE), recorded(2, UNSURE, SURE, caller="bob")])
    counts = [{name: each[name] for name in ("node", "operator", "in", "out", "filtered")} for each in found["nodes"]]
    assert counts == [
        {"node": "unsure", "operator": "concept-thresholder", "in": 5, "out": 3, "filtered": 2},
        {"node": "first", "operator": "first-n", "in": 3, "out": 2, "filtered": 1},
    ]
    assert found["inputs"]["kept"] == 2
    assert found["inputs"]["filtered"] == {"pre_queue": 3, "post_queue": 0}
    assert found["callers"] == {"alice": {"matched": 3, "kept": 2}, "bob": {"matched": 2, "kept": 0}}
    assert found["classes"] == {"0": 2}


def test_the_deciding_value_stands_in_a_histogram_with_its_threshold() -> None:
    found = run(pre_queue(below("unsure", 0.6)), [recorded(1, SURE, UNSURE, [1.0, 0.0])])
    histogram = found["nodes"][0]["histogram"]
    assert (histogram["value"], histogram["keeps"], histogram["threshold"]) == ("largest value of a concept", "<", 0.6)
    assert {place: count for place, count in enumerate(histogram["bins"]) if count} == {10: 1, 18: 1, 19: 1}


@pytest.mark.parametrize(
    ("kind", "require", "concepts", "expected"),
    [
        ("GREATER_THAN", "any", (("*", 0.5),), ("largest value of a concept", ">", 0.9)),
        ("GREATER_THAN_OR_EQUAL", "all", (("*", 0.5),), ("smallest value of a concept", ">=", 0.1)),
        ("LESS_THAN_OR_EQUAL", "any", (("*", 0.5),), ("smallest value of a concept", "<=", 0.1)),
        ("LESS_THAN", "any", (("1", 0.5),), ("value of '1'", "<", 0.1)),
        ("LESS_THAN", "any", (("1", 0.5), ("*", 0.5)), None),
        ("EQUAL", "any", (("*", 0.5),), None),
    ],
)
def test_the_number_that_decides_is_the_one_that_passes_or_not(
    kind: str, require: str, concepts: Any, expected: tuple[str, str, float] | None
) -> None:
    params = {"concept_threshold_type": kind, "require": require}
    tried = pre_queue(node("t", type_id="concept-thresholder", params=params, concepts=concepts))
    found = run(tried, [recorded(1, SURE)])["nodes"][0]
    if expected is None:
        assert "histogram" not in found
    else:
        histogram = found["histogram"]
        place = int(expected[2] * len(histogram["bins"]))
        assert (histogram["value"], histogram["keeps"], histogram["bins"][place]) == (*expected[:2], 1)


def test_the_other_measures_show_theirs_too() -> None:
    measure = {"measure": "margin", "min_uncertainty": 0.5}
    distance = {"by": "total_variation", "min_distance": 0.5}
    tried = pre_queue(
        node("unsure", type_id="uncertainty-filter", params=measure),
        node("same", "$output", "$output", type_id="disagreement-filter", params=distance),
    )
    nodes = run(tried, [recorded(1, SURE)])["nodes"]
    assert [each["histogram"]["bins"].index(1) for each in nodes] == [4, 0]


@given(st.integers(0, 30), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([None, 0.3]))
def test_samples_are_drawn_as_in_the_engine(count: int, exchanges: float, inputs: float | None) -> None:
    policy = collector(sample_exchanges=exchanges, pre_queue_random_sample=inputs)
    if inputs is None:
        policy = collector(sample_exchanges=exchanges)
    records = [recorded(number, SURE, UNSURE) for number in range(count)]
    found = run(trial(policy), records)
    looked_at = [each for each in records if fraction_of_id(each.id) < exchanges]
    kept = [
        (each.id, place)
        for each in looked_at
        for place in range(2)
        if fraction(each.id, place, "kept", "pre_queue_random_sample") < (1.0 if inputs is None else inputs)
    ]
    assert found["exchanges"]["not_sampled"] == count - len(looked_at)
    assert found["inputs"]["matched"] == 2 * len(looked_at)
    assert found["inputs"]["kept"] == len(kept)


@pytest.mark.parametrize(
    ("policy", "rates", "weight"),
    [
        ({}, {}, 1.0),
        ({}, {"sample_exchanges": 0.25}, 4.0),
        ({"sample_exchanges": 1.0}, {"sample_exchanges": 0.25, "sample_inputs": 0.5}, 8.0),
        ({"pre_queue_random_sample": 1.0}, {"sample_inputs": 0.5, "collector": "kept"}, 2.0),
        ({"pre_queue_random_sample": 0.25}, {"sample_inputs": 0.5, "collector": "kept"}, 1.0),
        ({"pre_queue_random_sample": 0.25}, {"sample_inputs": 0.5, "collector": "another"}, 2.0),
    ],
)
def test_the_estimate_a_day_stands_for_what_the_record_left_out(
    policy: dict[str, Any], rates: dict[str, Any], weight: float
) -> None:
    found = run(trial(collector(**policy)), [recorded(number, SURE)._replace(**rates) for number in range(61)])
    assert found["span_seconds"] == 3600.0
    assert found["inputs"]["kept"] == 61 or "pre_queue_random_sample" in policy
    assert found["kept_per_day"] == pytest.approx(found["inputs"]["kept"] * weight * DAY_SECONDS / 3600.0) != 0.0


def test_a_record_of_a_tenth_holds_all_that_a_policy_of_less_draws() -> None:
    records = [recorded(number, SURE) for number in range(400)]
    whole = run(trial(collector(sample_exchanges=0.2)), records)
    part = [each._replace(sample_exchanges=0.5) for each in records if fraction_of_id(each.id) < 0.5]
    found = run(trial(collector(sample_exchanges=0.2)), part)
    assert found["inputs"]["kept"] == whole["inputs"]["kept"] > 0
    assert found["kept_per_day"] == pytest.approx(whole["kept_per_day"], rel=0.05)


def test_an_input_of_a_batch_that_was_recorded_alone_has_its_own_index() -> None:
    tried = trial(collector(pre_queue_random_sample=0.5))
    whole = [recorded(number, *[SURE] * 5) for number in range(9)]
    kept = [kept_of(tried, each) for each in whole]
    alone = [
        each._replace(
            first_index=4, call=each.call._replace(inputs=each.call.inputs[4:], outputs=each.call.outputs[4:])
        )
        for each in whole
    ]
    again = [kept_of(tried, each) for each in alone]
    assert again == [[4] if 4 in indexes else [] for indexes in kept]
    assert [4] in again


def test_a_node_that_cannot_judge_says_so() -> None:
    silent = recorded(1, SURE)
    silent = silent._replace(call=silent.call._replace(outputs=(Data(text=Text("no concepts")),)))
    params = {"measure": "margin", "min_uncertainty": 0.5}
    found = run(pre_queue(node("unsure", type_id="uncertainty-filter", params=params)), [silent])
    assert (found["nodes"][0]["in"], found["nodes"][0]["failed"], found["nodes"][0]["filtered"]) == (1, 1, 0)
    assert "cannot measure" in found["inputs"]["dropped"]["operator_failed"]["detail"]


def test_failures_that_the_collector_leaves_out_are_counted_by_themselves() -> None:
    def with_status(number: int, status: int) -> Recorded:
        exchange = recorded(number, SURE)
        given = tuple(dataclasses.replace(each, metadata={"status": status}) for each in exchange.call.inputs)
        return exchange._replace(call=exchange.call._replace(inputs=given))

    exchanges = [with_status(number, status) for number, status in enumerate((200, 0, 503, 204))]
    found = run(trial(collector(pre_queue_random_sample=1.0, collect_failures=False)), exchanges)
    assert found["inputs"]["filtered"] == {"model_failed": 2, "pre_queue": 0, "post_queue": 0}
    assert (found["inputs"]["kept"], found["nodes"][0]["in"]) == (2, 2)
    assert run(trial(collector(pre_queue_random_sample=1.0)), exchanges)["inputs"]["kept"] == 4


def test_one_record_covers_no_time() -> None:
    assert run(trial(collector()), [recorded(1, SURE)])["kept_per_day"] is None


def test_what_the_collector_does_not_watch_is_unwanted_and_what_names_no_model_is_taken_for_it() -> None:
    stranger = recorded(2, SURE, model="others")
    nameless = recorded(3, SURE)
    nameless = nameless._replace(caller="", call=nameless.call._replace(model=""))
    found = run(trial(collector(status=Status.COLLECTOR_INACTIVE)), [recorded(1, SURE), stranger, nameless])
    assert found["exchanges"] == {"read": 3, "unwanted": 1, "not_sampled": 0, "matched": 2, "assumed": 1}
    assert found["callers"] == {"alice": {"matched": 1, "kept": 1}, "anonymous": {"matched": 1, "kept": 1}}


def test_a_model_is_not_asked_and_the_input_unknown() -> None:
    tried = pre_queue(below("unsure", 0.6), node("other", "unsure"))
    found = run(tried, [recorded(1, SURE, UNSURE)])
    assert found["inputs"] | {"dropped": {}} == {
        "matched": 2, "kept": 0, "filtered": {"pre_queue": 1, "post_queue": 0}, "dropped": {}, "unknown": 1,
    }  # fmt: skip
    assert [(each["in"], each["out"], each["unknown"]) for each in found["nodes"]] == [(2, 1, 0), (1, 0, 1)]


def test_a_model_that_is_asked_decides() -> None:
    answers: Iterator[Data | Exception] = iter(
        [Data(concepts=(Concept("1", 0.9),)), Data(), TransientError("away"), PermanentError("no")]
    )

    def ask(_request: ModelRequest) -> Data:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = run(pre_queue(node("other"), ask=ask), [recorded(1, *[SURE] * 4)])
    dropped = {reason: each["count"] for reason, each in found["inputs"]["dropped"].items()}
    assert dropped == {"model_refused": 1, "model_unavailable": 1}
    assert (found["inputs"]["kept"], found["inputs"]["filtered"]["pre_queue"]) == (1, 1)
    assert [(each["in"], each["out"], each["failed"]) for each in found["nodes"]] == [(4, 1, 2)]


def test_a_post_queue_workflow_filters_what_was_kept() -> None:
    flow = node("meta", type_id="metadata-filter", params={"expression": "headers.\"x-request-id\" == 'request-1'"})
    tried = trial(collector(post_queue_workflow_id="flow"), flow)
    found = run(tried, [recorded(1, SURE), recorded(2, SURE)])
    assert (found["inputs"]["kept"], found["inputs"]["filtered"]) == (1, {"pre_queue": 0, "post_queue": 1})


def test_what_cannot_be_redacted_or_judged_is_dropped_and_spends_nothing() -> None:
    rules = (RedactRule(detect=("email",)),)
    raw = recorded(1, SURE)
    raw = raw._replace(call=Call("", "digits", "", "", "", (Data(raw=Raw(b"\xff")),), (raw.call.outputs[0],)))
    tried = pre_queue(node("first", type_id="first-n", params={"n": 1}), redact=rules)
    found = run(tried, [raw, recorded(2, SURE), recorded(3, SURE)])
    assert {reason: each["count"] for reason, each in found["inputs"]["dropped"].items()} == {"unredactable": 1}
    assert (found["inputs"]["kept"], found["inputs"]["filtered"]["pre_queue"]) == (1, 1)

    silent = recorded(4, SURE)
    silent = silent._replace(call=silent.call._replace(outputs=(None,)))
    dropped = run(pre_queue(below("unsure", 0.6)), [silent])["inputs"]["dropped"]
    assert dropped == {"no_output": {"count": 1, "detail": dropped["no_output"]["detail"]}}


def test_two_policies_side_by_side_name_what_only_one_keeps() -> None:
    loose, strict = pre_queue(below("unsure", 0.95)), pre_queue(below("unsure", 0.6))
    comparison = Comparison(loose, strict)
    records = [recorded(number, SURE, UNSURE) for number in range(7)]
    for each in records:
        comparison.take(each)
    found = comparison.to_json()
    assert (found["both"], found["only_first"], found["only_second"]) == (7, 7, 0)
    assert found["examples"]["only_first"] == [f"{each.id.hex()}/0" for each in records[:5]]


def test_what_a_reservoir_keeps_is_known_at_its_windows_end() -> None:
    def reservoir(n: int) -> Trial:
        return pre_queue(node("few", type_id="reservoir", params={"n": n, "window": "hour"}))

    records = [recorded(number, SURE, SURE, seconds=600.0) for number in range(30)]  # five hours and a bit
    few, many = reservoir(2), reservoir(3)
    found = run(few, records)
    windows: dict[float, list[float]] = {}
    for each in records:
        drawn = [fraction(each.id, index, "kept", "few") for index in range(2)]
        windows.setdefault(each.started_at // 3600, []).extend(drawn)
    assert found["inputs"]["matched"] == 60
    assert found["inputs"]["kept"] == sum(min(len(drawn), 2) for drawn in windows.values())
    assert found["inputs"]["filtered"]["pre_queue"] == 60 - found["inputs"]["kept"]

    comparison = Comparison(reservoir(2), many)
    for each in records:
        comparison.take(each)
    comparison.finish()
    compared = comparison.to_json()
    expected = sum(min(len(drawn), 3) - min(len(drawn), 2) for drawn in windows.values())
    assert (compared["both"], compared["only_first"]) == (found["inputs"]["kept"], 0)
    assert compared["only_second"] == expected > 0


def test_a_late_verdict_is_compared_with_an_early_one() -> None:
    few = pre_queue(node("few", type_id="reservoir", params={"n": 1, "window": "day"}))
    comparison = Comparison(few, trial(collector(pre_queue_random_sample=1.0)))
    for number in range(9):
        comparison.take(recorded(number, SURE))
    comparison.finish()
    compared = comparison.to_json()
    assert (compared["both"], compared["only_first"], compared["only_second"]) == (1, 0, 8)


def test_what_a_later_node_filters_takes_no_place_in_a_reservoir() -> None:
    few = node("few", type_id="reservoir", params={"n": 2, "window": "day"})
    unsure = node("unsure", "few", type_id="concept-thresholder", params=below("", 0.6).model.params, concepts=ANY_60)
    records = [recorded(number, SURE if number < 30 else UNSURE) for number in range(40)]
    tried = pre_queue(few, unsure)
    kept: list[bytes] = []
    tried.on_kept = lambda exchange_id, _index: kept.append(exchange_id)
    assert run(tried, records)["inputs"]["filtered"]["pre_queue"] == 38
    assert set(kept) == set(sorted((each.id for each in records[30:]), key=draw)[:2])


def draw(exchange_id: bytes) -> float:
    return fraction(exchange_id, 0, "kept", "few")


def test_callers_who_invent_names_are_counted_together() -> None:
    names = Names(most=2)
    for name in ("a", "b", "c", "a", "d"):
        names.add(name)
    assert names.counts == {"a": 2, "b": 1, OTHERS: 2}


def test_a_collector_that_cannot_run_says_why() -> None:
    with pytest.raises(ConfigurationError, match=r"workflow flow: nodes.*no operator"):
        pre_queue(node("x", type_id="no-such-thing"))
    with pytest.raises(ConfigurationError, match="its workflow gone cannot run"):
        trial(collector(pre_queue_workflow_id="gone"))
