"""What a request would make of policies that are there, and why it may not: pure.

Promises that what a file manages is changed by nobody else, that a patch replaces only what it supplies, and that no
workflow goes while a collector names it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from sidecar.collector import Collector, ManagedBy, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.checks import Judges, Key, key_of, problems_of_collector, problems_of_workflow
from sidecar.policy.several import find
from sidecar.policy.wire import patch_collector
from sidecar.policy.workflow_wire import patch_workflow

PolicyT = TypeVar("PolicyT", Collector, Workflow)


def is_from_file(policy: Collector | Workflow) -> bool:
    return policy.managed_by is ManagedBy.FILE


def patched_collector(own: Iterable[Collector], wire: object, where: str) -> Collector:
    """The one of `own` that `wire` names, with what it supplies. Raises ConfigurationError or NotFoundError."""
    return patch_collector(_changeable(own, "collector", wire, where), wire, where=where)


def patched_workflow(own: Iterable[Workflow], wire: object, where: str) -> Workflow:
    """The same of a workflow."""
    return patch_workflow(_changeable(own, "workflow", wire, where), wire, where=where)


def refuse_managed(policies: Iterable[Collector | Workflow], kind: str) -> None:
    """Raise ConfigurationError if a file manages one of `policies`, naming each."""
    problems = [problem for each in policies for problem in _managed_by_file(each, f"{kind} {each.id}")]
    if problems:
        raise ConfigurationError(problems)


def refuse_used(gone: Iterable[Workflow], collectors: Iterable[Collector]) -> None:
    """Raise ConfigurationError if one of `collectors` names a workflow of `gone`, naming all that do."""
    users: dict[Key, list[str]] = {key_of(each): [] for each in gone}
    for collector in collectors:
        for key in workflow_keys(collector):
            if key in users:
                users[key].append(collector.id)
    problems = [
        Problem(f"is in use by {', '.join(sorted(ids))}: change or delete them first", f"workflow {key[2]}")
        for key, ids in users.items()
        if ids
    ]
    if problems:
        raise ConfigurationError(problems)


def problems_of_new(
    new: Sequence[Workflow], workflows: Mapping[Key, Workflow], collectors: Iterable[Collector], judges: Judges
) -> list[Problem]:
    """Why `new` cannot stand among, or in place of some of, `workflows`: by themselves, or as `collectors` use them."""
    problems = [p for index, each in enumerate(new) for p in problems_of_workflow(each, judges, f"workflows[{index}]")]
    if problems:
        return problems
    changed = {key_of(each): each for each in new}
    known = {**workflows, **changed}
    for collector in collectors:
        if not changed.keys().isdisjoint(workflow_keys(collector)):
            where = f"collector {collector.id}"
            found = problems_of_collector(collector, known, judges, where)
            problems += [dataclasses.replace(each, code="graph", file="") for each in found]
    return problems


def workflow_keys(collector: Collector) -> list[Key]:
    """The workflows that `collector` names."""
    names = filter(None, (collector.pre_queue_workflow_id, collector.post_queue_workflow_id))
    return [(collector.user_id, collector.app_id, name) for name in dict.fromkeys(names)]


def _changeable(own: Iterable[PolicyT], kind: str, wire: object, where: str) -> PolicyT:
    name = wire.get("id") if isinstance(wire, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ConfigurationError(Problem(f"is missing: it says which {kind} to change", field=f"{where}.id"))
    old = find(own, kind, name, f"{where}.id")
    problems = _managed_by_file(old, where)
    if problems:
        raise ConfigurationError(problems)
    return old


def _managed_by_file(policy: Collector | Workflow, where: str) -> list[Problem]:
    if not is_from_file(policy):
        return []
    return [Problem(f"managed_by: file: change {policy.origin} instead", field=where)]
