"""The example policies load together, show every operator, and keep what they say they keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.operators import classified, said

from sidecar.data import Concept, Data, Region
from sidecar.delivery.registry import DESTINATIONS, check_options
from sidecar.pipeline.operators import open_operators
from sidecar.policy.checks import Judges, Outcome, Snapshot, settle
from sidecar.policy.files import read_folder
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.operators.registry import OPERATORS
from sidecar.workflow.run import Filtered, Item, Kept, run, run_without_models

EXAMPLES = Path(__file__).parents[2] / "policies"
FOLDERS = {
    EXAMPLES: (),
    EXAMPLES / "second-model": ("second",),
    EXAMPLES / "destinations": (),
    EXAMPLES / "language": (),
    EXAMPLES / "models": (),
    EXAMPLES / "near-duplicates": (),
}
"""Each with the models that must be in settings."""


def loaded(folder: Path) -> Outcome:
    operators, problems = open_operators(folder)
    found = read_folder(folder)
    models = {*FOLDERS[folder], *(model.id for model in found.models)}
    judges = Judges(lambda each: compile_workflow(each, models, operators), check_options)
    outcome = settle(found, Snapshot(), judges)
    assert [str(problem) for problem in (*outcome.problems, *problems)] == []
    assert len(outcome.collectors) + len(outcome.workflows) + len(found.models) == len(list(folder.glob("*.yaml")))
    return outcome


def test_the_examples_load_together_and_need_no_model_server() -> None:
    outcome = loaded(EXAMPLES)
    assert any(collector.pre_queue_random_sample for collector in outcome.collectors)
    assert any(collector.sample_exchanges < 1 for collector in outcome.collectors)


def test_every_folder_of_examples_is_known() -> None:
    folders = {path.parent for path in EXAMPLES.rglob("*.yaml")}
    assert folders == {*FOLDERS, EXAMPLES / "graphs"}


def test_every_operator_is_shown_by_an_example() -> None:
    shown = {node.model.type_id for folder in FOLDERS for each in loaded(folder).workflows for node in each.nodes}
    assert shown >= OPERATORS.keys() - {"concept-threshold"}


def test_every_destination_but_the_default_is_shown_by_an_example() -> None:
    collectors = [each for folder in FOLDERS for each in loaded(folder).collectors]
    shown = {destination.kind for each in collectors for destination in each.destinations}
    assert shown >= DESTINATIONS.keys() - {"app", "clarifai"}


def test_an_example_says_what_it_shows() -> None:
    for path in EXAMPLES.rglob("*.yaml"):
        assert path.read_text().startswith("# "), path
        assert len(path.read_text().splitlines()) <= 31, path


def picture(*people: float) -> Data:
    return Data(regions=tuple(Region(concepts=(Concept("person", value), Concept("hat", 0.9))) for value in people))


DIGIT = {str(digit): 0.02 for digit in range(10)}
SPREAD = {str(digit): 0.1 for digit in range(10)}


@pytest.mark.parametrize(
    ("name", "kept", "filtered"),
    [
        ("unsure", classified(**DIGIT | {"3": 0.59}), classified(**DIGIT | {"3": 0.6})),
        ("torn", classified(**SPREAD), classified(**SPREAD | {"4": 0.01})),
        ("sevens", classified(**DIGIT | {"7": 0.81}), classified(**DIGIT | {"1": 0.81, "7": 0.8})),
        ("looped", classified(**DIGIT | {"9": 0.6}), classified(**DIGIT | {"7": 0.6})),
        ("looped", classified(**DIGIT | {"0": 0.51}), classified(**DIGIT | {"8": 0.5})),
        ("pets", classified(kitten=0.5, tree=0.9), classified(cat=0.4, dog=0.6, tree=0.9)),
        ("pets", classified(Hund=0.8), classified(hound=0.8)),
        ("narrow", classified(**DIGIT | {"3": 0.45, "5": 0.41}), classified(**DIGIT | {"3": 0.5, "5": 0.3})),
        ("crowds", picture(0.9, 0.8, 0.6), picture(0.9, 0.8, 0.5)),
        ("refusals", said("I'm sorry, but I cannot help with that."), said("It is a sorry sight. I can do that.")),
        ("refusals", said("  Sorry, no."), said("Sorrying is no word.")),
    ],
)
def test_an_example_keeps_what_it_says_by_the_models_output(name: str, kept: Data, filtered: Data) -> None:
    (workflow,) = [each for each in loaded(EXAMPLES).workflows if each.id == name]
    graph = compile_workflow(workflow, (), open_operators(EXAMPLES)[0])
    assert isinstance(run_without_models(graph, Item(b"e", 0, name, Data(), kept), "$output"), Kept)
    assert isinstance(run_without_models(graph, Item(b"e", 0, name, Data(), filtered), "$output"), Filtered)


@pytest.mark.parametrize(
    ("folder", "name", "kept", "filtered"),
    [
        (EXAMPLES, "refunds", said("I want my MONEY BACK!"), said("Where do I find the refunding form?")),
        (EXAMPLES / "language", "german", said("Wo ist meine Bestellung geblieben?"), said("Where is my order now?")),
        (
            EXAMPLES,
            "from-mobile",
            Data(metadata={"headers": {"user-agent": "Mobile Safari"}}),
            Data(metadata={"headers": {}}),
        ),
    ],
)
def test_an_example_keeps_what_it_says_by_the_input(folder: Path, name: str, kept: Data, filtered: Data) -> None:
    (workflow,) = [each for each in loaded(folder).workflows if each.id == name]
    graph = compile_workflow(workflow, ())
    answer = classified(a=1.0)
    assert isinstance(run_without_models(graph, Item(b"e", 0, name, kept, answer), "$output"), Kept)
    assert isinstance(run_without_models(graph, Item(b"e", 0, name, filtered, answer), "$output"), Filtered)


def test_the_example_with_a_second_model_asks_that_one_and_compares() -> None:
    (workflow,) = loaded(EXAMPLES / "second-model").workflows
    steps = run(compile_workflow(workflow, ("second",)), Item(b"e", 0, "c", said("?"), classified(a=0.9)), "$input")
    assert next(steps).model_id == "second"
    other = classified(b=0.7)
    with pytest.raises(StopIteration) as ended:
        steps.send(other)
    assert ended.value.value == Kept(other)
