"""What the answers under `/v1` hold, as pydantic models: what `/openapi.json` says of them, to the last field.

A test holds real answers against them: nothing may stand in an answer that is not here, and nothing may be missing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.admin.scopes import Scope


class Answer(BaseModel):
    """Every field is always there, and no other."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Delivery(Answer):
    """How a job stands with one destination; times are seconds since the epoch."""

    destination: str
    state: Literal["queued", "leased", "dead", "delivered", "dropped"]
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str


class JobHead(Answer):
    """A pending or dead job; from `state` on, of the destination that decides."""

    id: int
    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    created_at: float
    state: Literal["queued", "leased", "dead"]
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str


class Job(JobHead):
    """The same without its content."""

    destinations: list[Delivery]


class Jobs(Answer):
    jobs: list[Job]
    next_before: int | None


class Try(Answer):
    """One that failed. `attempt` begins at 1 again after the job was put back by hand."""

    attempt: int
    at: float
    reason: str
    detail: str


class ToldDelivery(Delivery):
    """The same with what was tried; `tries_left_out` of them failed after the first `left_out_after`."""

    settled_at: float
    tries: list[Try]
    tries_left_out: int
    left_out_after: int


class TopConcept(Answer):
    id: str
    value: float


class TracedNode(BaseModel):
    """A node that ran or did not; `kind` is its operator's name or its model's id. What holds for it alone stands in it
    alone: `top` only where the collector redacts nothing."""

    model_config = ConfigDict(extra="forbid")

    id: str
    kind: str
    verdict: Literal["passed", "emptied", "not_run"]
    keep_fraction: float | None = None
    concepts: int | None = None
    regions: int | None = None
    top: TopConcept | None = None


class Trace(Answer):
    workflow: str
    nodes: list[TracedNode]


class Answered(Answer):
    """What was seen of the exchange; null for what was not kept."""

    started_at: float | None
    latency_seconds: float | None
    status: int | None


class Sampling(Answer):
    """Which samples applied before any workflow."""

    sample_exchanges: float | None
    pre_queue_random_sample: float | None


class ToldJob(JobHead):
    """A pending or dead job with all that is known of it; media in its data are told by their size."""

    destinations: list[ToldDelivery]
    exchange: Answered
    sampling: Sampling
    pre_queue: Trace | None
    post_queue: Trace | None
    input: dict[str, Any]
    output: dict[str, Any] | None
    workflow_output: dict[str, Any] | None


class OneJob(Answer):
    job: ToldJob


class Story(Answer):
    """How an input came into the app; its own destination stands first, and of `destinations_forgotten` others it is
    not known any more what became of them."""

    job_id: int
    exchange_id: str
    input_index: int
    collector: str
    exchange: Answered
    sampling: Sampling
    pre_queue: Trace | None
    post_queue: Trace | None
    destinations: list[ToldDelivery]
    destinations_forgotten: int


class InputStory(Answer):
    story: Story | None


class Sums(Answer):
    """matched = filtered + delivered + dead + dropped + pending."""

    matched: int
    filtered: int
    delivered: int
    dead: int
    dropped: int
    pending: int


class Exchanges(Answer):
    """seen = unwanted + taken + open + the sum of lost; `relays` is how many have answered just now."""

    seen: int
    unwanted: int
    taken: int
    open: int
    lost: dict[str, int]
    relays: int


class Ledger(Answer):
    exchanges: Exchanges
    total: Sums
    reasons: dict[str, dict[str, int]]
    collectors: dict[str, Sums]


class Key(Answer):
    id: str
    name: str
    scopes: list[Scope]
    created_at: str
    created_by: str
    rotated_at: str | None


class Keys(Answer):
    keys: list[Key]


class KeyWithToken(Answer):
    key: Key
    token: str


class RevokedKey(Answer):
    revoked: Key


class Event(Answer):
    id: int
    at: str
    kind: str
    who: str
    subject: str
    collector: str
    before: Any
    after: Any


class Events(Answer):
    events: list[Event]
    next_before: int | None


class Setting(Answer):
    name: str
    option: str
    variable: str
    value: str
    origin: str = Field(alias="from")
    default: str
    help: str
    secret: bool


class Settings(Answer):
    settings: list[Setting]
