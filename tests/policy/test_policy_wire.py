"""Collectors and workflows as people write them: both spellings, both forms of a source, every fault at once."""

from __future__ import annotations

import dataclasses
import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.collector import (
    Collector,
    Destination,
    ManagedBy,
    Node,
    NodeModel,
    Source,
    Status,
    Workflow,
)
from sidecar.errors import ConfigurationError
from sidecar.policy.wire import patch_collector, read_collector, write_collector
from sidecar.policy.workflow_wire import read_workflow, write_workflow

LONG: dict[str, Any] = {
    "id": "unsure",
    "collector_source": {
        "api_post_model_outputs_collector_source": {
            "model_id": "digits",
            "model_version_id": "1",
            "caller_user_id": "alice",
            "model_user_id": "owner",
            "model_app_id": "app",
        }
    },
    "pre_queue_random_sample": 0.5,
}


def faults(read: Any, *arguments: Any, **named: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments, **named)
    return {problem.field: problem.message for problem in caught.value.problems}


parts = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
ids = st.builds("{}{}{}".format, parts, st.sampled_from(["", "-0", "_a", "-0_Z-9"]), st.just("") | parts)
words = st.text(max_size=12)
fractions = st.floats(min_value=0, max_value=1, exclude_min=True, allow_subnormal=False)
json_values = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), words
)
destinations = st.builds(
    Destination,
    words.filter(lambda word: word not in ("", "name")),
    st.dictionaries(words, json_values, max_size=3),
    ids,
)
collectors = st.builds(
    Collector,
    id=ids,
    source=st.builds(Source, words.filter(bool), words, words, words, words, words),
    description=words,
    pre_queue_workflow_id=ids,
    pre_queue_random_sample=st.none() | fractions,
    post_queue_workflow_id=st.just("") | ids,
    status=st.sampled_from(Status),
    collect_outputs=st.booleans(),
    keep_input=st.booleans(),
    sample_exchanges=fractions,
    collect_failures=st.booleans(),
    destinations=st.lists(destinations, min_size=1, max_size=3, unique_by=lambda each: each.name).map(tuple),
)
models = st.builds(
    NodeModel,
    model_id=words.filter(bool),
    type_id=words,
    user_id=words,
    app_id=words,
    params=st.dictionaries(words, json_values, max_size=3),
    concepts=st.lists(st.tuples(words, st.floats(allow_nan=False, allow_infinity=False)), max_size=3).map(tuple),
)
workflows = st.builds(
    Workflow,
    id=ids,
    nodes=st.lists(
        st.builds(Node, words, models, st.lists(words, max_size=2).map(tuple), st.booleans()), min_size=1, max_size=3
    ).map(tuple),
    description=words,
)


@given(collectors)
def test_what_is_written_reads_the_same(collector: Collector) -> None:
    assert read_collector(orjson.loads(orjson.dumps(write_collector(collector)))) == collector


@given(workflows)
def test_a_written_workflow_reads_the_same(workflow: Workflow) -> None:
    assert read_workflow(orjson.loads(orjson.dumps(write_workflow(workflow)))) == workflow


def test_the_short_source_reads_the_same_as_the_long_one() -> None:
    short = {"model": "digits", "version": "1", "caller": "alice", "user": "owner", "app": "app"}
    wire = {"id": "unsure", "source": short, "pre_queue_random_sample": 0.5}
    assert read_collector(wire) == read_collector(LONG)


def test_camel_case_reads_the_same() -> None:
    inner = LONG["collector_source"]["api_post_model_outputs_collector_source"]
    camel = {"modelId": "digits", "modelVersionId": "1", "callerUserId": "alice"}
    camel |= {"modelUserId": inner["model_user_id"], "modelAppId": inner["model_app_id"]}
    source = {"apiPostModelOutputsCollectorSource": camel}
    wire = {"id": "unsure", "collectorSource": source, "preQueueRandomSample": 0.5}
    assert read_collector(wire) == read_collector(LONG)


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ({"code": 52002}, Status.COLLECTOR_INACTIVE),
        ({"code": 52002.0}, Status.COLLECTOR_INACTIVE),
        ({"code": "COLLECTOR_INACTIVE"}, Status.COLLECTOR_INACTIVE),
        ("inactive", Status.COLLECTOR_INACTIVE),
        ("active", Status.COLLECTOR_ACTIVE),
        ({}, Status.COLLECTOR_ACTIVE),
        (None, Status.COLLECTOR_ACTIVE),
    ],
)
def test_a_status_is_a_word_a_name_or_a_number(written: object, status: Status) -> None:
    assert read_collector({**LONG, "status": written}).status is status


def test_a_missing_status_means_active() -> None:
    assert read_collector(LONG).is_active


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (
            {"pre_queue_random_sampel": 0.1},
            "collector.pre_queue_random_sampel",
            "did you mean pre_queue_random_sample?",
        ),
        ({"pre_queue_random_sample": 0}, "collector.pre_queue_random_sample", "more than 0"),
        ({"pre_queue_random_sample": 1.5}, "collector.pre_queue_random_sample", "at most 1"),
        ({"pre_queue_random_sample": "0.5"}, "collector.pre_queue_random_sample", "must be a number"),
        ({"pre_queue_random_sample": True}, "collector.pre_queue_random_sample", "must be a number"),
        ({"sample_exchanges": 2}, "collector.sample_exchanges", "at most 1"),
        ({"pre_queue_workflow_id": 7}, "collector.pre_queue_workflow_id", "put it in quotes"),
        ({"id": "a b"}, "collector.id", "is not an id"),
        ({"id": "x" * 49}, "collector.id", "at most 48"),
        ({"id": "-x"}, "collector.id", "is not an id"),
        ({"id": None}, "collector.id", "is missing"),
        ({"collect_outputs": "yes"}, "collector.collect_outputs", "true or false"),
        ({"status": "paused"}, "collector.status", "active or inactive"),
        ({"status": {"cod": 1}}, "collector.status", "no field 'cod'"),
        ({"destination": {"a": {}, "b": {}}}, "collector.destination", "one kind"),
        ({"destination": {"clarifai": "x"}}, "collector.destination", "one kind"),
        ({"destination": {"name": "app"}}, "collector.destination", "one kind"),
        ({"destination": {"app": {}, "name": "a b"}}, "collector.destination", "no name"),
        ({"destination": []}, "collector.destination", "one destination at least"),
        ({"destination": ["app"] * 17}, "collector.destination", "at most 16"),
        ({"destination": ["app", 5]}, "collector.destination[1]", "one kind"),
        ({"destination": ["app", {"clarifai": {}, "name": "app"}]}, "collector.destination[1]", "named like one"),
        ({"collect_failures": "no"}, "collector.collect_failures", "true or false"),
        ({"source": {"model": "m"}}, "collector.source", "two sources, source and collector_source"),
        ({"collector_source": [{}, {}]}, "collector.collector_source", "exactly one"),
        ({"collector_source": {"a_source": {}, "b_source": {}}}, "collector.collector_source", "a_source and b_source"),
        ({"pre_queue_random_sample": None}, "collector", "three workflows missing"),
        ({"pre_queue_random_sample": None, "post_queue_workflow_id": ""}, "collector", "three workflows missing"),
        ({"preQueueRandomSample": 0.1}, "collector.pre_queue_random_sample", "twice"),
        ({"user_id": "someone"}, "collector.user_id", "not the one that the request names"),
    ],
)
def test_each_fault_names_its_field(change: dict[str, Any], field: str, said: str) -> None:
    found = faults(read_collector, {**LONG, **change})
    assert list(found) == [field]
    assert said in found[field]


def test_a_collector_needs_a_model() -> None:
    inner = "collector.collector_source.api_post_model_outputs_collector_source.model_id"
    assert faults(read_collector, {"id": "a", "pre_queue_random_sample": 1}).keys() == {inner}
    wire = {"id": "a", "source": {"caller": "bob"}, "pre_queue_random_sample": 1}
    assert faults(read_collector, wire).keys() == {"collector.source.model"}


def test_all_faults_come_at_once() -> None:
    found = faults(read_collector, {"source": {"modl": 3}, "statu": 1, "pre_queue_random_sample": 9})
    assert found.keys() == {"collector.source.modl", "collector.statu", "collector.pre_queue_random_sample"}


def test_what_is_no_object_is_refused() -> None:
    assert faults(read_collector, ["x"]) == {"collector": "must be an object"}


def test_several_destinations_are_read_and_one_is_written_as_one() -> None:
    options = {"base_url": "https://a"}
    several = ["app", {"clarifai": options}, {"clarifai": None, "name": "second"}]
    read = read_collector({**LONG, "destination": several})
    assert read.destinations == (
        Destination("app", {}), Destination("clarifai", options), Destination("clarifai", {}, "second")
    )  # fmt: skip
    written = write_collector(read)["destination"]
    assert written == [{"app": {}}, {"clarifai": options}, {"clarifai": {}, "name": "second"}]
    assert patch_collector(read, {"description": "new"}).destinations == read.destinations
    one = patch_collector(read, {"destination": [{"clarifai": options}]})
    assert write_collector(one)["destination"] == {"clarifai": options}
    assert "destination" not in write_collector(patch_collector(one, {"destination": "app"}))


def test_no_message_repeats_what_was_written() -> None:
    secret = "sk-very-secret"
    wires: list[dict[str, Any]] = [
        {**LONG, "source": {"model": "m", "key": secret}},
        {"id": "a", "source": {"model": "m", "kye": secret}, "pre_queue_random_sample": 1},
        {"id": "a", "source": {"key": [secret]}, "pre_queue_random_sample": secret},
        {"id": secret + " ", "source": secret, "status": secret, "destination": secret},
        {**LONG, "destination": ["app", {"a": secret}, {secret: 5}, {"app": {}, "name": secret + " "}]},
    ]
    for wire in wires:
        with pytest.raises(ConfigurationError) as caught:
            read_collector(wire)
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value.problems)


def test_a_file_may_choose_its_app_and_owns_what_it_gives() -> None:
    read = read_collector({**LONG, "user_id": "ann", "app_id": "lab"}, file="policies/a.yaml")
    assert (read.user_id, read.app_id, read.origin) == ("ann", "lab", "policies/a.yaml")
    assert read.managed_by is ManagedBy.FILE
    assert read.key == "ann/lab/unsure"


class TestPatch:
    old = read_collector({**LONG, "post_queue_workflow_id": "later"}, created_at="2026-01-01T00:00:00.000000Z")

    def test_only_supplied_fields_are_replaced(self) -> None:
        new = patch_collector(self.old, {"id": "unsure", "status": {"code": "COLLECTOR_INACTIVE"}})
        assert new == dataclasses.replace(self.old, status=Status.COLLECTOR_INACTIVE)

    def test_a_patch_of_the_source_keeps_what_it_does_not_name(self) -> None:
        source = {"api_post_model_outputs_collector_source": {"model_id": "letters"}}
        new = patch_collector(self.old, {"id": "unsure", "collector_source": source})
        assert new.source == dataclasses.replace(self.old.source, model_id="letters")

    def test_an_explicit_blank_clears(self) -> None:
        new = patch_collector(self.old, {"post_queue_workflow_id": "", "source": {"caller": ""}})
        assert (new.post_queue_workflow_id, new.source.caller_user_id) == ("", "")
        assert new.pre_queue_random_sample == 0.5

    def test_the_last_of_the_three_cannot_be_cleared(self) -> None:
        change = {"post_queue_workflow_id": "", "pre_queue_random_sample": None}
        assert "three workflows missing" in faults(patch_collector, self.old, change)["collector"]


NODE: dict[str, Any] = {
    "id": "below",
    "model": {
        "model_id": "below",
        "model_type_id": "concept-thresholder",
        "output_info": {
            "params": {"concept_threshold_type": 3.0, "require": "all"},
            "data": {"concepts": [{"id": "*", "value": 0.6}, {"id": "7"}]},
        },
    },
}


def test_a_workflow_in_the_contracts_shape() -> None:
    second = {"id": "ask", "model": {"id": "m", "model_version": {"id": "3"}}, "nodeInputs": [{"nodeId": "below"}]}
    read = read_workflow({"id": "w", "nodes": [NODE, {**second, "suppressOutput": True}]})
    assert read.nodes[0].model.concepts == (("*", 0.6), ("7", 1.0))
    assert read.nodes[0].model.params["require"] == "all"
    assert read.nodes[1] == Node("ask", NodeModel("m", version_id="3"), ("below",), suppress_output=True)


@pytest.mark.parametrize(
    ("node", "field", "said"),
    [
        ({"model": {"model_typ_id": "x"}}, "nodes[0].model.model_typ_id", "did you mean model_type_id?"),
        ({"model": {}}, "nodes[0].model.model_id", "is missing"),
        ({"model": {"model_id": "a", "id": "b"}}, "nodes[0].model.id", "differs"),
        ({"node_inputs": []}, "nodes[0].node_inputs", "not be empty"),
        ({"node_inputs": [{"node": "x"}]}, "nodes[0].node_inputs[0].node_id", "is missing"),
        (
            {"model": {"model_id": "a", "model_version_id": "1", "description": "x", "model_type_id": "y"}},
            "nodes[0].model.model_version_id",
            "model_type_id and description",
        ),
    ],
)
def test_a_fault_in_a_node_names_its_place(node: dict[str, Any], field: str, said: str) -> None:
    found = faults(read_workflow, {"id": "w", "nodes": [{**NODE, **node}]})
    assert said in found[f"workflow.{field}"]


def test_a_workflow_needs_an_id_and_nodes() -> None:
    assert faults(read_workflow, {"nodes": []}).keys() == {"workflow.id", "workflow.nodes"}
