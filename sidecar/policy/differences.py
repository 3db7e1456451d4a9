"""What differs between two moments of the policies, as events; pure. Keys stand in them as references alone."""

from __future__ import annotations

from sidecar.collector import Collector, Workflow
from sidecar.collector import key_of as name_in_ledger
from sidecar.data import Json
from sidecar.policy.checks import Key, Snapshot, key_of
from sidecar.policy.wire import write_collector
from sidecar.policy.workflow_wire import write_workflow
from sidecar.store.audit import Change

Policy = Collector | Workflow
_Named = dict[tuple[str, Key], Policy]


def changes_between(old: Snapshot, new: Snapshot) -> list[Change]:
    """One for each policy that was added, changed or deleted."""
    before, after = _all(old), _all(new)
    names = [*(name for name in before if name not in after), *after]
    return [_change(*name, before.get(name), after.get(name)) for name in names if _differ(name, before, after)]


def _all(snapshot: Snapshot) -> _Named:
    """Every policy by its kind and key; workflows first, as collectors name them."""
    workflows: _Named = {("workflow", key): each for key, each in snapshot.workflows.items()}
    return workflows | {("collector", key_of(each)): each for each in snapshot.collectors}


def _differ(name: tuple[str, Key], before: _Named, after: _Named) -> bool:
    old, new = before.get(name), after.get(name)
    return old is not new and old != new


def _change(kind: str, key: Key, before: Policy | None, after: Policy | None) -> Change:
    verb = "added" if before is None else "deleted" if after is None else "changed"
    name = name_in_ledger(*key)
    return Change(f"{kind}.{verb}", name, name if kind == "collector" else "", _wire(before), _wire(after))


def _wire(policy: Policy | None) -> Json | None:
    if policy is None:
        return None
    return write_collector(policy) if isinstance(policy, Collector) else write_workflow(policy)
