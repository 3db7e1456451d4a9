"""concept-synonym-mapper: one step along a graph, from a node's parameters or from the ground it is handed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operators import classified, faults_of, graph_of, judge

from sidecar.collector import KnowledgeGraph, Predicate
from sidecar.data import Concept, Data, Text
from sidecar.errors import ConfigurationError
from sidecar.workflow.operators.operator import Ground
from sidecar.workflow.operators.registry import Operators
from sidecar.workflow.run import Filtered, Kept

SYNONYM, HYPONYM, HYPERNYM = Predicate.SYNONYM, Predicate.HYPONYM, Predicate.HYPERNYM
ANIMALS = [
    ["feline", "synonym", "cat"],
    ["kitty", "synonym", "cat"],
    ["siamese", "hyponym", "cat"],
    ["animal", "hypernym", "cat"],
]


def mapped(data: Data, *follow: str, relations: Any = ANIMALS, concepts: tuple[str, ...] = ()) -> dict[str, float]:
    params: dict[str, Any] = {"knowledge_graph": {"relations": relations, "concepts": list(concepts)}}
    verdict = judge(graph_of("concept-synonym-mapper", params | ({"follow": list(follow)} if follow else {})), data)
    if verdict == Filtered("n"):
        return {}
    assert isinstance(verdict, Kept)
    assert verdict.output == Data(concepts=verdict.output.concepts)
    return {concept.id: concept.value for concept in verdict.output.concepts}


def test_synonyms_are_followed_both_ways_and_what_has_none_is_dropped() -> None:
    assert mapped(classified(feline=0.7, siamese=0.9, tree=0.8)) == {"cat": 0.7}
    assert mapped(classified(cat=0.7)) == {"feline": 0.7, "kitty": 0.7}
    assert mapped(classified(tree=0.9, animal=0.4)) == {}
    assert mapped(Data(text=Text("feline"))) == {}


def test_more_general_and_more_special_concepts_come_on_request() -> None:
    assert mapped(classified(siamese=0.9, cat=0.3), "hypernym") == {"cat": 0.9, "animal": 0.3}
    assert mapped(classified(cat=0.6, animal=0.2), "hyponym") == {"siamese": 0.6, "cat": 0.2}
    assert mapped(classified(cat=0.6), "synonym", "hypernym") == {"feline": 0.6, "kitty": 0.6, "animal": 0.6}


def test_the_largest_value_wins_in_either_order() -> None:
    assert mapped(classified(feline=0.2, kitty=0.7)) == {"cat": 0.7}
    assert mapped(classified(kitty=0.7, feline=0.2)) == {"cat": 0.7}


def test_a_graph_that_names_its_concepts_maps_to_those_alone_and_keeps_them() -> None:
    assert mapped(classified(cat=0.7, feline=0.8, kitty=0.1), concepts=("cat",)) == {"cat": 0.8}
    assert mapped(classified(cat=0.7), concepts=("cat",)) == {"cat": 0.7}
    assert mapped(classified(cat=0.7), concepts=("kitty",)) == {"kitty": 0.7}


names = st.sampled_from("abcdef")
relations = st.lists(
    st.tuples(names, st.sampled_from(list(Predicate)), names).filter(lambda each: each[0] != each[2]), min_size=1
)


@given(
    st.dictionaries(names, st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1),
    relations,
    st.sets(st.sampled_from(list(Predicate)), min_size=1),
    st.sets(names),
)
def test_the_mapper_is_the_naive_one(
    concepts: dict[str, float], graph: list[tuple[str, Predicate, str]], follow: set[Predicate], own: set[str]
) -> None:
    expected: dict[str, float] = {}
    for target in "abcdef":
        values = [
            value
            for name, value in concepts.items()
            if (name == target and name in own)
            or (SYNONYM in follow and {(name, SYNONYM, target), (target, SYNONYM, name)} & set(graph))
            or (HYPERNYM in follow and {(target, HYPERNYM, name), (name, HYPONYM, target)} & set(graph))
            or (HYPONYM in follow and {(target, HYPONYM, name), (name, HYPERNYM, target)} & set(graph))
        ]
        if values and (not own or target in own):
            expected[target] = max(values)
    written = [[subject, str(predicate), other] for subject, predicate, other in graph]
    found = mapped(classified(**concepts), *map(str, follow), relations=written, concepts=tuple(own))
    assert found == expected


def test_a_graph_can_be_handed_in_by_its_id() -> None:
    ground = Ground({"animals": KnowledgeGraph((("pup", SYNONYM, "dog"),))})
    operators = Operators(ground=ground)
    graph = graph_of("concept-synonym-mapper", {"knowledge_graph_id": "animals"}, operators=operators)
    assert judge(graph, classified(pup=0.5)) == Kept(Data(concepts=(Concept("dog", 0.5),)))
    with pytest.raises(ConfigurationError, match=r"no graph 'anmals' among graphs/\*\.yaml .*; known: animals"):
        graph_of("concept-synonym-mapper", {"knowledge_graph_id": "anmals"}, operators=operators)


def test_a_node_without_a_graph_reads_its_apps_own() -> None:
    own = {("local", "main"): KnowledgeGraph((("pup", SYNONYM, "dog"),)), ("ann", "lab"): KnowledgeGraph(())}
    for params in ({}, {"knowledge_graph_id": ""}):
        graph = graph_of("concept-synonym-mapper", params, operators=Operators(ground=Ground(app_graphs=own)))
        assert judge(graph, classified(pup=0.5)) == Kept(Data(concepts=(Concept("dog", 0.5),)))
    assert judge(graph_of("concept-synonym-mapper"), classified(pup=0.5)) == Filtered("n")


def test_what_is_wrong_with_a_graph_is_said() -> None:
    kind = "concept-synonym-mapper"
    assert faults_of(kind, {"knowledge_graph": {"relations": [["a", "synonim", "b"]]}}) == [
        "knowledge_graph.relations[0][1]: Input should be 'synonym', 'hyponym' or 'hypernym'"
    ]
    assert faults_of(kind, {"knowledge_graph": {"relations": [[6, "synonym", "b"]]}}) == [
        "knowledge_graph.relations[0][0]: must be text, not int: put it in quotes"
    ]
    assert faults_of(kind, {"knowledge_graph": {"relations": [["a", "synonym", "a"]]}}) == [
        "knowledge_graph.relations: holds a relation of a concept to itself"
    ]
    assert faults_of(kind, {"knowledge_graph": {"relations": []}}) == ["knowledge_graph.relations: must not be empty"]
    assert faults_of(kind, {"knowledge_graph": {"relations": ANIMALS}, "follow": ["meronym"]}) == [
        "follow: must be synonym, hyponym or hypernym"
    ]
    both = {"knowledge_graph": {"relations": ANIMALS}, "knowledge_graph_id": "animals"}
    assert faults_of(kind, both) == ["knowledge_graph_id: must not stand beside knowledge_graph: which of the two?"]
