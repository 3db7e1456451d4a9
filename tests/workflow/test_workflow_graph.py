"""compile_workflow: every fault is found, at its field, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.errors import ConfigurationError
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.operators.registry import OPERATORS

SAMPLE = {"keep_fraction": 0.5}
THRESHOLD = {"concept_threshold_type": "LESS_THAN"}


def node(name: str, type_id: str = "random-sample", inputs: tuple[str, ...] = (), **model: Any) -> Node:
    if type_id == "random-sample":
        model.setdefault("params", SAMPLE)
    suppress = model.pop("suppress_output", False)
    return Node(name, NodeModel(model.pop("model_id", name), type_id, **model), inputs, suppress)


def thresholder(**fields: Any) -> Node:
    fields = {"params": THRESHOLD, "concepts": (("*", 0.6),), **fields}
    return node("t", "concept-thresholder", **fields)


def faults(*nodes: Node) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        compile_workflow(Workflow("w", nodes), {"second", "third"})
    return [(problem.field, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("nodes", "field", "message"),
    [
        ([], "nodes", "must not be empty"),
        ([node(f"n{n}") for n in range(21)], "nodes", "21 nodes, at most 20"),
        ([node("")], "nodes[0].id", "is missing"),
        ([node("a"), node("a")], "nodes[1].id", "'a' stands twice"),
        ([node("$input")], "nodes[0].id", "'$input': ids that start with $ are reserved"),
        ([node("a", inputs=("b",)), node("b")], "nodes[0].node_inputs[0].node_id", "'b' is not an earlier node"),
        ([node("a", inputs=("a",))], "nodes[0].node_inputs[0].node_id", "'a' is not an earlier node"),
        (
            [node("a"), node("b", inputs=("c",))],
            "nodes[1].node_inputs[0].node_id",
            "'c' is no node, $input or $output",
        ),
        ([node("a"), node("b", inputs=("a", "$input"))], "nodes[1].node_inputs", "random-sample reads 1, not 2"),
        ([node("a", "disagreement-filter")], "nodes[0].node_inputs", "disagreement-filter reads 2, not 1"),
        ([node("m", "", ("$input", "$output"), model_id="second")], "nodes[0].node_inputs", "a model reads 1, not 2"),
        (
            [node("a", "random-smaple")],
            "nodes[0].model.model_type_id",
            f"'random-smaple' is no operator; known: {', '.join(sorted(OPERATORS))}",
        ),
        (
            [node("a", "nope", ("$input", "$output"))],
            "nodes[0].model.model_type_id",
            f"'nope' is no operator; known: {', '.join(sorted(OPERATORS))}",
        ),
        ([node("m", "", model_id="")], "nodes[0].model.model_type_id", "name an operator here, or a model by model_id"),
        (
            [node("m", "", model_id="fourth")],
            "nodes[0].model.model_id",
            "'fourth' is no model in the setting `models` or among the policies; known: second, third",
        ),
        (
            [node("a", version_id="1")],
            "nodes[0].model.model_version_id",
            "must not stand beside model_type_id: an operator has no versions",
        ),
        ([node("a", params={})], "nodes[0].model.output_info.params.keep_fraction", "is missing"),
        (
            [node("a", params={"keep_fraction": 0.1, "keep": 1})],
            "nodes[0].model.output_info.params.keep",
            "no such field: there are keep_fraction",
        ),
        (
            [node("a", params={"keep_fraction": 1.5})],
            "nodes[0].model.output_info.params.keep_fraction",
            "must be at most 1",
        ),
        *[
            (
                [node("a", params={"keep_fraction": value})],
                "nodes[0].model.output_info.params.keep_fraction",
                "must be a number",
            )
            for value in ("0.5", True, None)
        ],
        (
            [thresholder(params={"concept_threshold_type": "LESS"})],
            "nodes[0].model.output_info.params.concept_threshold_type",
            (
                "must be one of GREATER_THAN (1), GREATER_THAN_OR_EQUAL (2), LESS_THAN (3), LESS_THAN_OR_EQUAL (4), "
                "EQUAL (5)"
            ),
        ),
        (
            [thresholder(params={**THRESHOLD, "require": "some"})],
            "nodes[0].model.output_info.params.require",
            "must be 'any' or 'all'",
        ),
        (
            [thresholder(concepts=())],
            "nodes[0].model.output_info.data.concepts",
            "is missing: list the thresholds as {id, value}; * is any concept",
        ),
        (
            [thresholder(concepts=(("a", 0.1), ("a", 0.2)))],
            "nodes[0].model.output_info.data.concepts",
            "a concept stands twice",
        ),
        (
            [node("f", "metadata-filter", params={"expression": "contians(path, 'x')"})],
            "nodes[0].model.output_info.params.expression",
            "is no JMESPath expression: Unknown function: contians()",
        ),
        (
            [node("a", suppress_output=True)],
            "nodes",
            "nothing comes out: the output of every last node is suppressed",
        ),
    ],
)
def test_each_fault_is_said_at_its_field(nodes: list[Node], field: str, message: str) -> None:
    assert faults(*nodes) == [(field, message)]


@pytest.mark.parametrize("expression", ["", "headers.", "a b", "starts_with(path)"])
def test_an_expression_that_does_not_compile_is_refused(expression: str) -> None:
    ((field, message),) = faults(node("f", "metadata-filter", params={"expression": expression}))
    assert field == "nodes[0].model.output_info.params.expression"
    assert message.startswith("is no JMESPath expression: ")


def test_all_faults_come_at_once() -> None:
    found = faults(node("a", params={"keep_fraction": -1, "x": 1}), node("a", "nope", ("z",)), thresholder(params={}))
    assert [field for field, _ in found] == [
        "nodes[0].model.output_info.params.keep_fraction",
        "nodes[0].model.output_info.params.x",
        "nodes[1].id",
        "nodes[1].node_inputs[0].node_id",
        "nodes[1].model.model_type_id",
        "nodes[2].model.output_info.params.concept_threshold_type",
    ]


def test_a_graph_knows_what_it_reads_asks_and_gives() -> None:
    graph = compile_workflow(
        Workflow(
            "w",
            (
                node("sample"),
                node("m", "", ("sample",), model_id="second"),
                node("again", "", ("$input",), model_id="second", suppress_output=True),
                node("differ", "disagreement-filter", ("$output", "m")),
            ),
        ),
        ["second"],
    )
    assert graph.models == ("second",)
    assert graph.ends == ("differ",)
    assert graph.reads("$output", "$input")


def test_whether_the_output_is_read_depends_on_the_workflows_place() -> None:
    graph = compile_workflow(Workflow("w", (node("a"), node("b", inputs=("$input",)))), ())
    assert graph.reads("$output", "$output")
    assert not graph.reads("$output", "$input")
    named = compile_workflow(Workflow("w", (node("a", inputs=("$input",)),)), ())
    assert not named.reads("$output", "$output")


@pytest.mark.parametrize("kind", ["LESS_THAN", 3, 3.0])
def test_a_comparison_is_named_or_numbered(kind: object) -> None:
    assert compile_workflow(Workflow("w", (thresholder(params={"concept_threshold_type": kind}),)), ()).ends == ("t",)
