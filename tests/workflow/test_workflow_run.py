"""run: order, emptiness, models asked once, the merge at the end, and faults that are verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Concept, Data, Embedding, Region, Tensor, Text
from sidecar.errors import PermanentError
from sidecar.workflow.graph import Default, Graph, compile_workflow
from sidecar.workflow.merge import merge
from sidecar.workflow.operators.operator import Operator, Params
from sidecar.workflow.operators.registry import BUILT_IN, OPERATORS, Operators
from sidecar.workflow.run import (
    Dropped,
    Filtered,
    Item,
    Kept,
    ModelRequest,
    Verdict,
    run,
    run_without_models,
)

INPUT = Data(text=Text("hello"), metadata={"caller": "alice"})
OUTPUT = Data(concepts=(Concept("a", 0.9), Concept("b", 0.1)), tensors=(Tensor([0.9, 0.1]),))


def model(name: str, *inputs: str, model_id: str = "second", suppress_output: bool = False) -> Node:
    return Node(name, NodeModel(model_id), inputs, suppress_output)


def operator(name: str, type_id: str, *inputs: str, **params: Any) -> Node:
    concepts = tuple(params.pop("concepts", {}).items())
    return Node(name, NodeModel(name, type_id, params=params, concepts=concepts), inputs)


def above(name: str, concept: str, value: float, *inputs: str) -> Node:
    kind = "GREATER_THAN"
    return operator(name, "concept-thresholder", *inputs, concept_threshold_type=kind, concepts={concept: value})


def graph(*nodes: Node, operators: Operators = BUILT_IN) -> Graph:
    return compile_workflow(Workflow("w", nodes), {"second", "third"}, operators)


def finish(
    steps: Graph, answer: Callable[[ModelRequest], Data], default: Default = "$input", output: Data | None = OUTPUT
) -> tuple[Verdict, list[ModelRequest]]:
    asked = []
    walk = run(steps, Item(b"e", 0, "c", INPUT, output), default)
    try:
        request = next(walk)
        while True:
            asked.append(request)
            request = walk.send(answer(request))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict, asked


def test_a_model_is_asked_once_for_the_same_data() -> None:
    other = Data(concepts=(Concept("b", 0.8),))
    steps = graph(
        model("one"), model("two", "$input"), model("three", model_id="third"), above("sure", "b", 0.5, "two")
    )
    verdict, asked = finish(steps, lambda _: other)
    assert asked == [ModelRequest(name, INPUT, {}, b"e", 0) for name in ("second", "third")]
    assert verdict == Kept(other)


def test_a_models_answer_is_compared_with_the_first_one() -> None:
    steps = graph(model("mine"), operator("differ", "disagreement-filter", "$output", "mine"))
    other = Data(concepts=(Concept("b", 0.8),))
    assert finish(steps, lambda _: other)[0] == Kept(other)
    assert finish(steps, lambda _: OUTPUT)[0] == Filtered("differ")
    assert finish(steps, lambda _: Data())[0] == Filtered("differ")


def test_what_is_emptied_is_not_looked_at_again() -> None:
    steps = graph(above("cats", "cat", 0.5), model("ask", "cats"), above("then", "b", 0.5, "ask"))
    assert finish(steps, lambda _: OUTPUT, "$output") == (Filtered("cats"), [])


def test_a_branch_that_is_left_keeps_the_input() -> None:
    steps = graph(above("cats", "cat", 0.5), above("as", "a", 0.5), above("bs", "b", 0.05))
    verdict = run_without_models(steps, Item(b"e", 0, "c", INPUT, OUTPUT), "$output")
    assert verdict == Kept(Data(concepts=OUTPUT.concepts))


def test_suppressed_outputs_are_not_in_the_result() -> None:
    caption = Data(text=Text("a cat"))
    steps = graph(model("hidden", suppress_output=True), model("caption", model_id="third"))
    assert finish(steps, lambda request: caption if request.model_id == "third" else OUTPUT)[0] == Kept(caption)


def test_the_default_side_is_the_places() -> None:
    steps = graph(operator("all", "random-sample", keep_fraction=1))
    item = Item(b"e", 0, "c", INPUT, OUTPUT)
    assert run_without_models(steps, item, "$input") == Kept(INPUT)
    assert run_without_models(steps, item, "$output") == Kept(OUTPUT)


def test_a_missing_output_matters_only_to_who_reads_it() -> None:
    steps = graph(operator("all", "random-sample", keep_fraction=1))
    item = Item(b"e", 0, "c", INPUT, None)
    assert run_without_models(steps, item, "$input") == Kept(INPUT)
    verdict = run_without_models(steps, item, "$output")
    assert isinstance(verdict, Dropped)
    assert verdict.reason == "no_output"
    compares = graph(model("mine"), operator("differ", "disagreement-filter", "$output", "mine"))
    assert finish(compares, lambda _: OUTPUT, output=None)[1] == []


def test_nothing_in_is_nothing_out() -> None:
    steps = graph(operator("all", "random-sample", keep_fraction=1))
    assert run_without_models(steps, Item(b"e", 0, "c", Data(), Data()), "$output") == Filtered("")


def test_a_graph_that_asks_a_model_needs_run() -> None:
    with pytest.raises(ValueError, match="workflow 'w' asks model 'second': use run"):
        run_without_models(graph(model("m")), Item(b"e", 0, "c", INPUT, None), "$input")


class Broken(Operator):
    error: Exception = PermanentError("no luck")

    def __init__(self, node: Node, params: Params) -> None:
        pass

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        raise self.error


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (PermanentError("no luck"), "node 'b': no luck"),
        (KeyError("captured text"), "node 'b': KeyError"),
        (RecursionError(), "node 'b': RecursionError"),
    ],
)
def test_an_operators_fault_is_a_verdict(error: Exception, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "error", error)
    operators = Operators({**OPERATORS, "broken": Broken})
    steps = graph(operator("b", "broken"), operator("all", "random-sample", keep_fraction=1), operators=operators)
    verdict = run_without_models(steps, Item(b"e", 0, "c", INPUT, OUTPUT), "$output")
    assert verdict == Dropped("operator_failed", detail)


def test_merging_keeps_the_first_of_a_name_and_loses_nothing_else() -> None:
    one = Data(
        text=Text("one"),
        concepts=(Concept("a", 0.1), Concept("b", 0.2)),
        regions=(Region("r", concepts=(Concept("x"),)), Region()),
        tensors=(Tensor(1), Tensor(1), Tensor(5, "n")),
        metadata={"k": 1, "l": 1},
    )
    two = Data(
        text=Text("two"),
        concepts=(Concept("b", 0.9), Concept("c", 0.3)),
        regions=(Region("r"), Region(), Region("s")),
        embeddings=(Embedding((1.0,)),),
        tensors=(Tensor(1), Tensor(2), Tensor(6, "n")),
        metadata={"l": 2, "m": 2},
    )
    assert merge([one, two]) == Data(
        text=Text("one"),
        concepts=(Concept("a", 0.1), Concept("b", 0.2), Concept("c", 0.3)),
        regions=(Region("r", concepts=(Concept("x"),)), Region(), Region("s")),
        embeddings=(Embedding((1.0,)),),
        tensors=(Tensor(1), Tensor(1), Tensor(5, "n"), Tensor(2), Tensor(6, "n")),
        metadata={"k": 1, "l": 1, "m": 2},
    )
    assert merge([one]) is one
