"""The operators, each against a naive model of what the contract says."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operators import classified, graph_of, judge

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Concept, Data, Embedding, Region, Tensor
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, run_without_models

COMPARE = {
    "GREATER_THAN": operator.gt,
    "GREATER_THAN_OR_EQUAL": operator.ge,
    "LESS_THAN": operator.lt,
    "LESS_THAN_OR_EQUAL": operator.le,
    "EQUAL": operator.eq,
}


def naive(concepts: Mapping[str, float], thresholds: Mapping[str, float], kind: str, require: str) -> dict[str, float]:
    """The contract, word by word."""
    kept = {}
    for name, value in concepts.items():
        threshold = thresholds.get(name, thresholds.get("*"))
        if threshold is not None and COMPARE[kind](value, threshold):
            kept[name] = value
    listed = set(thresholds) - {"*"} | (set(concepts) if "*" in thresholds else set())
    return {} if require == "all" and not listed <= set(kept) else kept


values = st.sampled_from([0.0, 0.2, 0.5, 0.50001, 1.0])
names = st.sampled_from(["a", "b", "c"])


@given(
    st.dictionaries(names, values, min_size=1),
    st.dictionaries(names | st.just("*"), values, min_size=1),
    st.sampled_from(sorted(COMPARE)),
    st.sampled_from(["any", "all"]),
)
def test_the_thresholder_is_the_naive_one(
    concepts: dict[str, float], thresholds: dict[str, float], kind: str, require: str
) -> None:
    graph = graph_of("concept-thresholder", {"concept_threshold_type": kind, "require": require}, thresholds)
    expected = naive(concepts, thresholds, kind, require)
    verdict = judge(graph, classified(**concepts))
    assert verdict == (Kept(classified(**expected)) if expected else Filtered("n"))


@pytest.mark.parametrize(("top", "is_kept"), [(0.59, True), (0.6, False), (0.95, False)])
def test_max_probability_below_looks_at_every_concept(top: float, is_kept: bool) -> None:
    graph = graph_of("concept-threshold", {"concept_threshold_type": 3, "require": "all"}, {"*": 0.6})
    assert isinstance(judge(graph, classified(a=1 - top, b=top)), Kept) is is_kept


def test_data_without_concepts_passes_no_threshold() -> None:
    graph = graph_of("concept-thresholder", {"concept_threshold_type": 1, "require": "all"}, {"*": 0.0})
    assert judge(graph, Data(tensors=(Tensor([3.0]),))) == Filtered("n")


def test_a_sample_is_its_fraction_and_the_same_again() -> None:
    graph = graph_of("random-sample", {"keep_fraction": 0.1})
    data = classified(a=1.0)
    kept = [index for index in range(5000) if isinstance(judge(graph, data, index=index), Kept)]
    assert 400 < len(kept) < 600  # 500 ± 4.7 standard deviations
    again = [index for index in range(5000) if isinstance(judge(graph, data, index=index), Kept)]
    assert kept == again


@given(st.binary(max_size=16), st.integers(0, 10**6))
def test_sampling_all_or_none_is_exact(exchange_id: bytes, index: int) -> None:
    item = Item(exchange_id, index, "c", Data(), classified(a=1.0))
    assert isinstance(run_without_models(graph_of("random-sample", {"keep_fraction": 1}), item, "$output"), Kept)
    assert isinstance(run_without_models(graph_of("random-sample", {"keep_fraction": 0}), item, "$output"), Filtered)


def test_nodes_and_collectors_draw_apart() -> None:
    nodes = tuple(
        Node(name, NodeModel(name, "random-sample", params={"keep_fraction": 0.5}), inputs)
        for name, inputs in (("a", ()), ("b", ("a",)))
    )
    graph = compile_workflow(Workflow("w", nodes), ())
    data = classified(a=1.0)
    verdicts = [
        run_without_models(graph, Item(b"e", index, collector, Data(), data), "$output")
        for collector in ("c1", "c2")
        for index in range(2000)
    ]
    first, second = verdicts[:2000], verdicts[2000:]
    share = sum(isinstance(verdict, Kept) for verdict in verdicts) / 4000
    assert 0.21 < share < 0.29
    assert first != second


@pytest.mark.parametrize(
    ("expression", "is_kept"),
    [
        ("headers.\"user-agent\" == 'phone'", True),
        ("headers.\"user-agent\" == 'desk'", False),
        ("status", True),
        ("zero", True),
        ("missing", False),
        ("empty", False),
        ("wrong", False),
        ("starts_with(path, '/v1')", True),
        ("contains(['alice', 'bob'], caller) && latency_ms > `5`", True),
    ],
)
def test_metadata_decides(expression: str, is_kept: bool) -> None:
    graph = graph_of("metadata-filter", {"expression": expression})
    data = classified(a=1.0)
    verdict = judge(
        graph, data, headers={"user-agent": "phone"}, status=200, zero=0, empty=[], wrong=False, path="/v1/m",
        caller="bob", latency_ms=7.5,
    )  # fmt: skip
    assert verdict == (Kept(data) if is_kept else Filtered("n"))


def test_a_failing_expression_does_not_repeat_the_metadata() -> None:
    graph = graph_of("metadata-filter", {"expression": "starts_with(caller, '/v1')"})
    verdict = judge(graph, classified(a=1.0), caller=["my secret"])
    assert isinstance(verdict, Dropped)
    assert verdict.reason == "operator_failed"
    assert "node 'n': JMESPathTypeError in \"starts_with(caller, '/v1')\"" in verdict.detail
    assert "secret" not in verdict.detail


@given(
    st.lists(st.dictionaries(names, values), max_size=4),
    st.dictionaries(names | st.just("*"), values, min_size=1),
    st.sampled_from(sorted(COMPARE)),
    st.sampled_from(["any", "all"]),
)
def test_the_region_thresholder_is_the_naive_one_in_each_region(
    regions: list[dict[str, float]], thresholds: dict[str, float], kind: str, require: str
) -> None:
    graph = graph_of("region-thresholder", {"concept_threshold_type": kind, "require": require}, thresholds)
    box = (0.0, 0.1, 0.5, 0.6)
    given_data = Data(
        regions=tuple(Region(f"r{n}", box, classified(**each).concepts) for n, each in enumerate(regions)),
        embeddings=(Embedding((1.0,)),),
    )
    left = [(n, naive(each, thresholds, kind, require)) for n, each in enumerate(regions)]
    expected = tuple(Region(f"r{n}", box, classified(**each).concepts) for n, each in left if each)
    assert judge(graph, given_data) == (Kept(Data(regions=expected)) if expected else Filtered("n"))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_regions_are_counted_whatever_is_in_them(count: int) -> None:
    data = Data(regions=tuple(Region() for _ in range(count)), embeddings=(Embedding((1.0,)),))
    assert judge(graph_of("object-counter"), data) == Kept(Data(metadata={"object_count": count}))


def test_a_number_that_was_counted_can_be_filtered_by() -> None:
    nodes = (
        Node("count", NodeModel("count", "object-counter")),
        Node(
            "many",
            NodeModel("many", "metadata-filter", params={"expression": "node.object_count > `1` && caller == 'bob'"}),
            ("count",),
        ),
    )
    graph = compile_workflow(Workflow("w", nodes), ())
    assert judge(graph, Data(regions=(Region(), Region())), caller="bob") == Kept(Data(metadata={"object_count": 2}))
    assert judge(graph, Data(regions=(Region(),)), caller="bob", node={"object_count": 5}) == Filtered("many")
    assert judge(graph, Data(regions=(Region(), Region())), caller="eve") == Filtered("many")


def test_metadata_that_a_model_claims_does_not_pass_for_the_inputs() -> None:
    graph = graph_of("metadata-filter", {"expression": "caller == 'alice'"})
    claims = Data(concepts=(Concept("a"),), metadata={"caller": "alice"})
    assert judge(graph, claims, caller="eve") == Filtered("n")
    assert judge(graph, claims, caller="alice") == Kept(claims)
