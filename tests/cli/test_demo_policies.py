from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.cli.demo.model_server import KINDS
from sidecar.cli.demo.policies import COLLECTED_CALLER, COLLECTOR_ID, write_policies
from sidecar.policy.files import Loaded, read_folder
from sidecar.workflow.graph import compile_workflow


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    write_policies(tmp_path / "policies")
    return read_folder(tmp_path / "policies")


def test_the_policies_have_no_fault_and_every_workflow_can_run(loaded: Loaded) -> None:
    assert loaded.problems == ()
    for workflow in loaded.workflows:
        compile_workflow(workflow, {KINDS["second"].name})


def test_the_collector_watches_one_caller_of_the_first_model_through_both_workflows(loaded: Loaded) -> None:
    (collector,) = loaded.collectors
    assert collector.id == COLLECTOR_ID
    assert (collector.source.model_id, collector.source.caller_user_id) == (KINDS["first"].name, COLLECTED_CALLER)
    asked = {collector.pre_queue_workflow_id, collector.post_queue_workflow_id}
    assert asked == {workflow.id for workflow in loaded.workflows}
    assert collector.keep_input


def test_they_are_short_enough_to_be_read_at_a_glance(tmp_path: Path) -> None:
    write_policies(tmp_path / "policies")
    for path in (tmp_path / "policies").iterdir():
        assert len(path.read_text().splitlines()) <= 12
