"""Samples that decide alone: only those whose word is final, and never over the head of a node that may fail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.policies import below, node

from sidecar.collector import Node, Workflow
from sidecar.data import Concept, Data
from sidecar.protocol.call import Items
from sidecar.workflow.graph import Graph, compile_workflow
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, run_without_models

UNSURE = Data(concepts=(Concept("cat", 0.5), Concept("dog", 0.5)))


def graph(*nodes: Node) -> Graph:
    return compile_workflow(Workflow("w", nodes), ())


def sample(name: str, keep_fraction: float, *inputs: str) -> Node:
    return node(name, *inputs, type_id="random-sample", params={"keep_fraction": keep_fraction})


def below_of(name: str, *inputs: str) -> Node:
    given = below(name, 0.6)
    return Node(given.id, given.model, inputs)


def failing(name: str, *inputs: str) -> Node:
    return node(name, *inputs, type_id="metadata-filter", params={"expression": "length(status) > `1`"})


@pytest.mark.parametrize(
    ("nodes", "decide"),
    [
        ([sample("tenth", 0.1)], ["tenth"]),
        ([below_of("unsure"), sample("tenth", 0.1, "unsure")], ["tenth"]),
        ([sample("tenth", 0.1), below_of("unsure", "tenth")], ["tenth"]),
        ([sample("tenth", 0.1), failing("mine", "tenth")], ["tenth"]),
        ([sample("half", 0.5), sample("tenth", 0.1, "half")], ["half", "tenth"]),
        ([failing("mine"), sample("tenth", 0.1, "mine")], []),
        ([sample("tenth", 0.1), failing("beside")], []),
        ([sample("tenth", 0.1), below_of("unsure")], []),
        ([sample("a", 0.1), sample("b", 0.1), node("differ", "a", "b", type_id="disagreement-filter")], []),
    ],
)
def test_which_samples_decide_alone(nodes: Sequence[Node], decide: Sequence[str]) -> None:
    assert [each.node for each in graph(*nodes).draws] == decide


def test_what_a_sample_leaves_out_is_read_by_nobody() -> None:
    read: list[object] = []

    def reading(part: object) -> Data:
        read.append(part)
        return UNSURE

    steps = graph(below_of("unsure"), sample("half", 0.5, "unsure"))
    numbers = range(200)
    items = [Item(b"e", number, "c", Items(numbers, reading), Items(numbers, reading)) for number in numbers]
    verdicts = [run_without_models(steps, item, "$output") for item in items]
    kept = [number for number, verdict in zip(numbers, verdicts, strict=True) if isinstance(verdict, Kept)]
    assert 50 < len(kept) < 150
    assert read == kept
    assert {verdict for verdict in verdicts if not isinstance(verdict, Kept)} == {Filtered("half")}


def test_without_an_output_nothing_is_drawn() -> None:
    steps = graph(below_of("unsure"), sample("none", 0.0, "unsure"))
    for output in (None, (None,)):
        verdict = run_without_models(steps, Item(b"e", 0, "c", Data(), output), "$output")
        assert isinstance(verdict, Dropped)
        assert verdict.reason == "no_output"
