"""A plan made after another one is the plan that would be made alone, and makes anew only what changed."""

from __future__ import annotations

import dataclasses

import pytest
from support.policies import collector, node

from sidecar.collector import Collector, RedactRule, Workflow
from sidecar.pipeline.plan import Plan, make_plan

WORKFLOW = Workflow("asks", (node("second"),))
WORKFLOWS = {(WORKFLOW.user_id, WORKFLOW.app_id, WORKFLOW.id): WORKFLOW}
PLAIN = collector("plain")
REDACTED = collector("redacted", redact=(RedactRule(detect=("email",)),))
FLOWING = collector("flowing", pre_queue_workflow_id="asks")


def planned(before: Plan, *collectors: Collector, models: tuple[str, ...] = ("second",)) -> Plan:
    return make_plan(collectors, WORKFLOWS, models, before=before.policies)


def test_of_a_collector_that_did_not_change_the_policy_stays() -> None:
    before = planned(Plan(), PLAIN, REDACTED)
    changed = dataclasses.replace(PLAIN, pre_queue_random_sample=0.5)
    after = planned(before, changed, REDACTED)
    assert after.policies["redacted"] is before.policies["redacted"]
    assert after.policies["plain"].collector is changed
    assert list(planned(after, REDACTED).policies) == ["redacted"]


def test_what_a_collector_runs_is_made_anew_as_its_models_may_have_changed() -> None:
    before = planned(Plan(), FLOWING)
    assert planned(before, FLOWING).policies["flowing"] is not before.policies["flowing"]
    without = planned(before, FLOWING, models=())
    assert (without.policies, len(without.problems)) == ({}, 2)


@pytest.mark.parametrize("collectors", [(), (PLAIN,), (PLAIN, REDACTED, FLOWING)])
def test_a_plan_is_the_same_whatever_was_before(collectors: tuple[Collector, ...]) -> None:
    alone = planned(Plan(), *collectors)
    after = planned(planned(Plan(), PLAIN, FLOWING), *collectors)
    assert (list(after.policies), after.index, after.known) == (list(alone.policies), alone.index, alone.known)
    assert [each.collector for each in after.policies.values()] == list(collectors)
