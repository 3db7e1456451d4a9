"""The example policies load together, and the seed's common cases are among them."""

from __future__ import annotations

from pathlib import Path

from sidecar.policy.checks import Judges, Outcome, Snapshot, settle
from sidecar.policy.files import read_folder
from sidecar.workflow.graph import compile_workflow

EXAMPLES = Path(__file__).parents[2] / "policies"


def loaded(folder: Path, *models: str) -> Outcome:
    judges = Judges(lambda workflow: compile_workflow(workflow, models), lambda destination: None)
    outcome = settle(read_folder(folder), Snapshot(), judges)
    assert [str(problem) for problem in outcome.problems] == []
    assert len(outcome.collectors) + len(outcome.workflows) == len(list(folder.glob("*.yaml")))
    return outcome


def test_the_examples_load_together_and_need_no_model_server() -> None:
    outcome = loaded(EXAMPLES)
    kinds = {node.model.type_id for workflow in outcome.workflows for node in workflow.nodes}
    assert {"concept-thresholder", "metadata-filter"} <= kinds
    assert any(collector.pre_queue_random_sample for collector in outcome.collectors)
    assert any(collector.sample_exchanges < 1 for collector in outcome.collectors)


def test_the_examples_with_a_second_model_need_that_one_alone() -> None:
    (workflow,) = loaded(EXAMPLES / "second-model", "second").workflows
    assert [node.model.type_id for node in workflow.nodes] == ["", "disagreement-filter"]
