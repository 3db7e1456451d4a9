"""Policies as the commands compare and write them: without what a server adds, as YAML that the policies folder reads.

Pure. Promises that what is written reads the same again, and that a key that was given in clear is never shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sidecar.collector import DEFAULT_APP, DEFAULT_USER, Collector, Workflow
from sidecar.policy.wire import MODEL_SOURCE, read_collector, write_collector
from sidecar.policy.workflow_wire import read_workflow, write_workflow
from sidecar.store.secrets import REFERENCE

Json = dict[str, Any]
Policy = Collector | Workflow
KEY = "post_inputs_key_id"
_OF_THE_SERVER = ("created_at", "managed_by", "origin", "key")
_WORKFLOWS = ("pre_queue_workflow_id", "post_queue_workflow_id")
_CLEARED = ("description", *_WORKFLOWS, "pre_queue_random_sample", "destination", "redact")
"""What a patch must name to take it away."""


@dataclass(frozen=True, slots=True)
class Step:
    """What makes a running sidecar have `policy`."""

    policy: Policy
    action: str
    """`add`, `change` or `keep`."""
    difference: str = ""
    """A unified diff of the YAML, from what is there to what the file says."""

    @property
    def kind(self) -> str:
        return kind_of(self.policy)


def kind_of(policy: Policy) -> str:
    return "collector" if isinstance(policy, Collector) else "workflow"


def read_answer(kind: str, wire: Json, user_id: str, app_id: str) -> Policy:
    """A policy as the admin API answers it. Raises ConfigurationError where this is another version's."""
    own = {name: value for name, value in wire.items() if name not in _OF_THE_SERVER}
    if kind == "collector":
        return read_collector(own, user_id, app_id)
    nodes = [node | {"model": {k: v for k, v in node["model"].items() if k != "id"}} for node in own.get("nodes", ())]
    return read_workflow(own | {"nodes": nodes}, user_id, app_id)


def to_wire(policy: Policy) -> Json:
    """What a person would write, in the contract's long form."""
    wire = write_collector(policy) if isinstance(policy, Collector) else write_workflow(policy)
    own = {name: value for name, value in wire.items() if name not in _OF_THE_SERVER}
    for name, default in (("user_id", DEFAULT_USER), ("app_id", DEFAULT_APP)):
        if getattr(policy, name) != default:
            own[name] = getattr(policy, name)
    if isinstance(policy, Collector):
        own["status"] = {"code": policy.status.name}
    return own


def to_patch(policy: Policy) -> Json:
    """`to_wire` with all that is blank named as well, so that a patch leaves nothing of what was there before."""
    if isinstance(policy, Workflow):
        return {"description": "", **to_wire(policy)}
    wire = {**dict.fromkeys(_CLEARED), **to_wire(policy)}
    blank = dict.fromkeys(("model_version_id", "model_user_id", "model_app_id", "caller_user_id", KEY), "")
    wire["collector_source"] = {MODEL_SOURCE: blank | wire["collector_source"][MODEL_SOURCE]}
    return wire


def to_yaml(policy: Policy) -> str:
    """`policy` as a file of the policies folder."""
    return yaml.safe_dump({kind_of(policy): to_wire(policy)}, sort_keys=False, allow_unicode=True, width=110)


def file_name(policy: Policy) -> str:
    """Where `export` writes it; another app's are told apart."""
    owner = (policy.user_id, policy.app_id)
    prefix = "" if owner == (DEFAULT_USER, DEFAULT_APP) else ".".join(owner) + "."
    return f"{prefix}{policy.id}{'.workflow' if isinstance(policy, Workflow) else ''}.yaml"


def has_clear_key(policy: Policy) -> bool:
    """True if it brings a key in clear: whether that is the one which is there cannot be told from here."""
    key = policy.source.post_inputs_key_id if isinstance(policy, Collector) else ""
    return bool(key) and not REFERENCE.fullmatch(key)


def step_to(wanted: Policy, there: Policy | None) -> Step:
    """What has to be done so that `wanted` is there."""
    new = _lines(wanted, there)
    old = _lines(there, there) if there else []
    place = f"{kind_of(wanted)} {wanted.id}"
    difference = "".join(difflib.unified_diff(old, new, f"{place}, running", f"{place}, {wanted.origin}"))
    if there is None:
        return Step(wanted, "add", difference)
    return Step(wanted, "change" if difference or has_clear_key(wanted) else "keep", difference)


def _lines(policy: Policy, there: Policy | None) -> list[str]:
    wire = to_wire(policy)
    if has_clear_key(policy):
        known = there.source.post_inputs_key_id if isinstance(there, Collector) else ""
        wire["collector_source"][MODEL_SOURCE][KEY] = known or "(given in clear)"
    return yaml.safe_dump(wire, sort_keys=False, allow_unicode=True, width=110).splitlines(keepends=True)


def named_workflows(collectors: Iterable[Collector], workflows: Sequence[Workflow]) -> list[Workflow]:
    """Those of `workflows` that `collectors` run."""
    names = {
        (each.user_id, each.app_id, name)
        for each in collectors
        for name in (each.pre_queue_workflow_id, each.post_queue_workflow_id)
    }
    return [each for each in workflows if (each.user_id, each.app_id, each.id) in names]
