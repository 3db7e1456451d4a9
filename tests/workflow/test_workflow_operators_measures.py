"""uncertainty-filter and disagreement-filter, against SciPy's measures and against the formulas word by word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import entropy
from support.operators import classified, faults_of, graph_of, judge

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Concept, Data, Tensor, Text
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, Verdict, run_without_models

MEASURES = ("least_confidence", "margin", "entropy")
DISTANCES = ("total_variation", "jensen_shannon")


def is_unsure(measure: str, min_uncertainty: float, data: Data) -> bool:
    verdict = judge(graph_of("uncertainty-filter", {"measure": measure, "min_uncertainty": min_uncertainty}), data)
    assert verdict in (Kept(data), Filtered("n"))
    return verdict == Kept(data)


def naive(measure: str, values: list[float]) -> float:
    """The formulas in the docstring, on values as they are written."""
    if len(values) == 1:
        values = [values[0], 1.0 - values[0]]
    total = math.fsum(values)
    shares = sorted((value / total if total else 1 / len(values) for value in values), reverse=True)
    if measure == "least_confidence":
        return (1 - shares[0]) * len(shares) / (len(shares) - 1)
    if measure == "margin":
        return 1 - (shares[0] - shares[1])
    return float(entropy(shares)) / math.log(len(shares))


@settings(max_examples=300)
@given(st.sampled_from(MEASURES), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_uncertainty_is_the_naive_one(measure: str, values: list[float], bound: float) -> None:
    uncertainty = naive(measure, values)
    assert -1e-9 <= uncertainty <= 1 + 1e-9
    assume(abs(uncertainty - bound) > 1e-8)
    data = Data(concepts=tuple(Concept(f"c{n}", value) for n, value in enumerate(values)))
    assert is_unsure(measure, bound, data) is (uncertainty > bound)


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_shares_are_wholly_uncertain_and_one_of_them_all_is_certain(measure: str) -> None:
    for count in range(2, 40):
        assert is_unsure(measure, 1.0, Data(concepts=tuple(Concept(str(n), 1 / count) for n in range(count))))
    assert is_unsure(measure, 1.0, classified(a=0.0, b=0.0))
    assert is_unsure(measure, 0.0, classified(a=1.0, b=0.0))
    assert not is_unsure(measure, 1e-6, classified(a=1.0, b=0.0, c=0.0))


def test_a_tie_of_the_two_best_is_no_margin_and_yet_not_all() -> None:
    tie = classified(a=0.45, b=0.45, c=0.1)
    assert is_unsure("margin", 1.0, tie)
    assert not is_unsure("entropy", 1.0, tie)
    assert is_unsure("least_confidence", 0.82, tie)  # 0.55 · 3/2 = 0.825
    assert not is_unsure("least_confidence", 0.83, tie)


@pytest.mark.parametrize("measure", MEASURES)
def test_one_concept_is_a_yes_or_no_answer(measure: str) -> None:
    assert is_unsure(measure, 1.0, classified(spam=0.5))
    assert not is_unsure(measure, 0.5, classified(spam=0.95))
    assert not is_unsure(measure, 0.5, classified(spam=0.05))
    for value in (0.2, 0.5, 0.7):
        for bound in (0.3, 0.7, 0.9):
            pair = classified(yes=value, no=1 - value)
            assert is_unsure(measure, bound, classified(spam=value)) is is_unsure(measure, bound, pair)


def test_values_that_do_not_sum_to_one_are_shares_of_their_sum() -> None:
    for measure in MEASURES:
        assert is_unsure(measure, 1.0, classified(a=0.9, b=0.9))
        assert is_unsure(measure, 1.0, classified(a=0.01, b=0.01))
    assert is_unsure("margin", 0.66, classified(a=0.4, b=0.2))  # 1 - (2/3 - 1/3)
    assert not is_unsure("margin", 0.67, classified(a=0.4, b=0.2))
    # as a 32-bit float writes a probability of 1
    assert not is_unsure("entropy", 0.1, classified(a=1.0000001, b=0.0))
    assert not is_unsure("entropy", 0.1, classified(a=1.0000001))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (Data(text=Text("x")), "the input holds no concepts"),
        (classified(a=-0.1, b=0.5), "the input holds a concept whose value is not in [0, 1]"),
        (classified(a=7.3, b=2.1), "the input holds a concept whose value is not in [0, 1]"),
        (classified(a=1.5), "the input holds a concept whose value is not in [0, 1]"),
        (Data(concepts=(Concept("a", 0.1), Concept("a", 0.2))), "a concept stands twice in the input"),
    ],
)
def test_what_cannot_be_measured_is_a_fault_not_a_certainty(data: Data, why: str) -> None:
    graph = graph_of("uncertainty-filter", {"measure": "entropy", "min_uncertainty": 0.5})
    assert judge(graph, data) == Dropped("operator_failed", f"node 'n': cannot measure: {why}")


def test_what_is_wrong_with_a_measure_is_said() -> None:
    assert faults_of("uncertainty-filter", {"measure": "variance", "min_uncertainty": 2}) == [
        "measure: must be 'least_confidence', 'margin' or 'entropy'",
        "min_uncertainty: must be at most 1",
    ]


def disagreement(first: Data, second: Data, **params: Any) -> Verdict:
    graph = graph_of("disagreement-filter", params, None, "$output", "$input")
    return run_without_models(graph, Item(b"e", 0, "c", second, first), "$output")


def test_disagreement_passes_the_second_opinion_on() -> None:
    sure, other = classified(a=0.9, b=0.1), classified(a=0.3, b=0.7)
    assert disagreement(sure, other) == Kept(other)
    assert disagreement(sure, classified(a=0.5, b=0.5)) == Filtered("n")
    assert disagreement(sure, Data()) == Filtered("n")
    assert disagreement(Data(), sure, by="total_variation", min_distance=0.1) == Filtered("n")


def test_what_cannot_be_compared_is_a_fault_not_an_agreement() -> None:
    for params in ({}, {"by": "jensen_shannon", "min_distance": 0.5}):
        verdict = disagreement(classified(a=0.9), Data(tensors=(Tensor(1),)), **params)
        assert verdict == Dropped(
            "operator_failed", "node 'n': cannot compare: the second of node_inputs holds no concepts"
        )
    verdict = disagreement(classified(a=3.0, b=1.0), classified(a=0.5, b=0.5), by="total_variation", min_distance=0.5)
    assert verdict == Dropped(
        "operator_failed",
        "node 'n': cannot measure: the first of node_inputs holds a concept whose value is not in [0, 1]",
    )


names = st.sampled_from("abcde")
answers = st.dictionaries(names, st.floats(0.01, 1.0), min_size=2, max_size=5)


def naive_distance(by: str, first: Mapping[str, float], second: Mapping[str, float]) -> float:
    vectors = [[each.get(name, 0.0) / sum(each.values()) for name in "abcde"] for each in (first, second)]
    if by == "jensen_shannon":
        return float(distance.jensenshannon(*vectors, base=2))
    return max(
        abs(
            sum(p for p, pick in zip(vectors[0], picked, strict=True) if pick)
            - sum(q for q, pick in zip(vectors[1], picked, strict=True) if pick)
        )
        for picked in ([bool(mask >> n & 1) for n in range(5)] for mask in range(32))
    )


@given(st.sampled_from(DISTANCES), answers, answers, st.floats(0.01, 1.0))
def test_a_distance_is_the_naive_one(by: str, first: dict[str, float], second: dict[str, float], bound: float) -> None:
    """Total variation is also the most that two distributions can differ on any set of outcomes."""
    apart = naive_distance(by, first, second)
    assume(abs(apart - bound) > 1e-7)
    other = classified(**second)
    verdict = disagreement(classified(**first), other, by=by, min_distance=bound)
    assert verdict == (Kept(other) if apart > bound else Filtered("n"))


@pytest.mark.parametrize("by", DISTANCES)
def test_nothing_in_common_is_the_largest_distance_and_the_same_is_none(by: str) -> None:
    ab, cd = classified(a=0.5, b=0.5), classified(c=0.2, d=0.8)
    assert disagreement(ab, cd, by=by, min_distance=1.0) == Kept(cd)
    assert disagreement(ab, classified(b=0.3, a=0.3), by=by, min_distance=1e-6) == Filtered("n")
    yes, no = classified(spam=0.95), classified(spam=0.05)
    assert disagreement(yes, no, by=by, min_distance=0.7) == Kept(no)
    assert disagreement(yes, no) == Filtered("n")


def test_a_distance_needs_its_bound_and_a_top_concept_none() -> None:
    rule = "min_distance goes with a distance: `by` total_variation or jensen_shannon, both or neither"
    for params in ({"by": "total_variation"}, {"min_distance": 0.5}):
        node = Node("n", NodeModel("n", "disagreement-filter", params=params), ("$output", "$input"))
        with pytest.raises(Exception, match="both or neither") as caught:
            compile_workflow(Workflow("w", (node,)), ())
        assert str(caught.value) == f"nodes[0].model.output_info.params: {rule}"
