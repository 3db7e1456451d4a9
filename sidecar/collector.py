"""The policy values: a collector, the source it watches, where its inputs go, and a workflow's graph as written.

Frozen values and the rules that hold for any of them; what a person wrote is read into them by `policy.wire`, graphs
are compiled by `workflow.graph`. Source of the terms: the Clarifai Collectors contract; fields marked *ours* extend it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_USER = "local"
DEFAULT_APP = "main"


class Status(enum.IntEnum):
    """A collector's state; the numbers are the contract's status codes."""

    COLLECTOR_ACTIVE = 52001
    COLLECTOR_INACTIVE = 52002


class ManagedBy(enum.StrEnum):
    """Who owns a policy: a file in the policies folder, or the admin API."""

    FILE = "file"
    API = "api"


@dataclass(frozen=True, slots=True)
class Source:
    """The model version whose calls are watched, and whose calls they are. A blank field means any."""

    model_id: str
    model_version_id: str = ""
    model_user_id: str = ""
    model_app_id: str = ""
    caller_user_id: str = ""
    post_inputs_key_id: str = ""
    """A reference to a stored secret, never the secret itself."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where kept inputs are posted (*ours*): `kind` names a file in `delivery/`, `options` are that file's own."""

    kind: str = "app"
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """What tells it from the collector's others; its kind unless something else is given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.kind)  # frozen


@dataclass(frozen=True, slots=True)
class RedactRule:
    """What must not be kept (*ours*): one of `remove`, `mask`, `detect`, `keep_unread`; see `redaction.rules`."""

    remove: str = ""
    """An address in JMESPath's grammar that starts with `input`, `output`, `result` or `metadata`."""
    mask: str = ""
    """An RE2 expression."""
    detect: tuple[str, ...] = ()
    """What is looked for: `email`, `card`, `ip`, `phone`, or what a plug-in's detector is called."""
    regions: tuple[str, ...] = ()
    """Whose national phone numbers are looked for, by ISO 3166."""
    to: str | None = None
    """What stands in the place of what `mask` or `detect` found; None means its default."""
    keep_unread: tuple[str, ...] = ()
    """What may pass though no rule can read it: `image`, `video`, `audio`, `text` (by address), `binary`."""


@dataclass(frozen=True, slots=True)
class Collector:
    """A policy: whose calls to which model version are kept, what is sampled, filtered, run on it, and posted where."""

    id: str
    source: Source
    user_id: str = DEFAULT_USER
    app_id: str = DEFAULT_APP
    description: str = ""
    pre_queue_workflow_id: str = ""
    pre_queue_random_sample: float | None = None
    """Fraction of inputs to keep, in (0, 1]; None when a workflow decides."""
    post_queue_workflow_id: str = ""
    status: Status = Status.COLLECTOR_ACTIVE
    collect_outputs: bool = False
    keep_input: bool = False
    """*Ours*: post the original input with the post-queue workflow's output attached, not that output alone."""
    sample_exchanges: float = 1.0
    """*Ours*: fraction of whole exchanges looked at, in (0, 1], decided in the relay."""
    collect_failures: bool = True
    """*Ours*: keep inputs also where the model gave no answer, or none of 2xx."""
    destinations: tuple[Destination, ...] = (Destination(),)
    """*Ours*: one at least, each with a name of its own. What is kept is posted to all of them."""
    redact: tuple[RedactRule, ...] = ()
    """*Ours*: what is taken out of input, output and metadata before anything is written to disk."""
    created_at: str = ""
    """RFC 3339, UTC, microseconds."""
    managed_by: ManagedBy = ManagedBy.API
    origin: str = ""
    """The policy file's path, when a file manages it."""

    @property
    def is_active(self) -> bool:
        return self.status is Status.COLLECTOR_ACTIVE

    @property
    def key(self) -> str:
        """The name in the ledger: the id alone in the default app, else `user/app/id`."""
        return key_of(self.user_id, self.app_id, self.id)


def key_of(user_id: str, app_id: str, collector_id: str) -> str:
    """The ledger's name of a collector: see `Collector.key`."""
    if (user_id, app_id) == (DEFAULT_USER, DEFAULT_APP):
        return collector_id
    return f"{user_id}/{app_id}/{collector_id}"


@dataclass(frozen=True, slots=True)
class NodeModel:
    """What a node does: an operator by `type_id`, or a model server by `model_id` when `type_id` is blank."""

    model_id: str
    type_id: str = ""
    version_id: str = ""
    user_id: str = ""
    app_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    concepts: tuple[tuple[str, float], ...] = ()
    """`output_info.data.concepts` as (id, value): the thresholds of a concept-thresholder."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph. `inputs` names earlier nodes, or `$input` / `$output` (*ours*); empty means the default."""

    id: str
    model: NodeModel
    inputs: tuple[str, ...] = ()
    suppress_output: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph of nodes as written; `workflow.graph` finds out whether it can run."""

    id: str
    nodes: tuple[Node, ...]
    user_id: str = DEFAULT_USER
    app_id: str = DEFAULT_APP
    description: str = ""
    created_at: str = ""
    managed_by: ManagedBy = ManagedBy.API
    origin: str = ""


class Predicate(enum.StrEnum):
    """How two concepts of a knowledge graph are related: the contract's three, read as `subject predicate object`."""

    SYNONYM = "synonym"
    """The subject means the same as the object."""
    HYPONYM = "hyponym"
    """The subject is a kind of the object."""
    HYPERNYM = "hypernym"
    """The object is a kind of the subject."""

    @classmethod
    def named(cls, name: object) -> Predicate:
        """The one that people call `name`. Raises ValueError."""
        for predicate in cls:
            if name == predicate.value:
                return predicate
        raise ValueError("must be synonym, hyponym or hypernym")

    @property
    def reversed(self) -> Predicate:
        """The same relation, read from the object."""
        return _REVERSED[self]


_REVERSED = {
    Predicate.SYNONYM: Predicate.SYNONYM,
    Predicate.HYPONYM: Predicate.HYPERNYM,
    Predicate.HYPERNYM: Predicate.HYPONYM,
}


@dataclass(frozen=True, slots=True)
class KnowledgeGraph:
    """Concepts and how they are related, as written."""

    relations: tuple[tuple[str, Predicate, str], ...]
    """(subject, predicate, object)."""
    concepts: tuple[str, ...] = ()
    """The graph's own concepts, when it names them (*ours*): nothing else is mapped to."""
