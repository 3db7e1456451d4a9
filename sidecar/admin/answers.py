"""What the answers under `/v1` hold, as pydantic models: what `/openapi.json` says of them, to the last field.

A test holds real answers against them: nothing may stand in an answer that is not here, and nothing may be missing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.admin.scopes import Scope


class Answer(BaseModel):
    """Every field without a default is always there, and no other than these."""

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


class TracedNode(Answer):
    """A node that ran or did not; `kind` is its operator's name or its model's id. What holds for it alone stands in it
    alone: `top` only where the collector redacts nothing."""

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


class Retried(Answer):
    """How many jobs; the second field in the place of the first for a dry run."""

    retried: int = 0
    would_retry: int = 0


class Discarded(Answer):
    """As `Retried`."""

    discarded: int = 0
    would_discard: int = 0


class Collectors(Answer):
    """Every app's, each as the contract's API shows it, in the contract's envelope."""

    status: dict[str, Any]
    collectors: list[dict[str, Any]]


class Latencies(Answer):
    """Milliseconds within which so many of a hundred calls were answered."""

    p50: float
    p95: float
    p99: float


class Calls(Answer):
    """Of one caller, model and version, since the engine's start; `minutes` counts those of the last hour, oldest
    first."""

    caller: str
    model: str
    version: str
    exchanges: int
    failed: int
    kept: int
    latency_ms: Latencies
    minutes: list[int]


class CollectorMinutes(Answer):
    """Inputs in each minute of the last hour, oldest first."""

    matched: list[int]
    kept: list[int]


class PassingModel(Answer):
    """A model whose calls pass, and whether a collector may want one of them."""

    model: str
    version: str
    collected: bool


class Traffic(Answer):
    since: str
    sources: list[Calls]
    collectors: dict[str, CollectorMinutes]
    passing: list[PassingModel]


class Found(Answer):
    """A fault of a draft; `line` is 0 where there is none to name."""

    place: str = Field(alias="in")
    field: str
    line: int
    message: str


class Checked(Answer):
    problems: list[Found]
    values: dict[str, Any]
    workflows: list[dict[str, Any] | None]


class Recording(Answer):
    """What is recorded and how much of it there is; `recording` alone where there is nothing."""

    recording: bool
    seen: int = 0
    kept: int = 0
    kept_bytes: int = 0
    model: str = ""
    version: str = ""
    caller: str = ""
    sample_exchanges: float = 1.0
    count: int = 0
    size_bytes: int = 0
    seconds: float = 0.0


class ReadExchanges(Answer):
    """read = unwanted + not_sampled + matched; `assumed` of the matched name no model and count as the collector's."""

    read: int
    unwanted: int
    not_sampled: int
    matched: int
    assumed: int


class DroppedInputs(Answer):
    count: int
    detail: str


class TriedInputs(Answer):
    """matched = kept + filtered + dropped + unknown, whose model was not asked."""

    matched: int
    kept: int
    filtered: dict[str, int]
    dropped: dict[str, DroppedInputs]
    unknown: int


class Histogram(Answer):
    """Of the numbers by which a node decides: as many bins of one width as there are, from `low` to `high`."""

    value: str
    keeps: Literal["<", "<=", ">", ">="]
    threshold: float
    low: float
    high: float
    bins: list[int]
    outside: int


class TriedNode(Answer):
    """in = out + filtered + failed + unknown; the histogram where one number decides."""

    workflow: str
    node: str
    operator: str
    taken: int = Field(alias="in")
    out: int
    filtered: int
    failed: int
    unknown: int
    histogram: Histogram | None = None


class TriedCaller(Answer):
    matched: int
    kept: int


class Trial(Answer):
    """What one policy would have kept; `kept_per_day` is null where the exchanges cover no time."""

    collector: str
    exchanges: ReadExchanges
    inputs: TriedInputs
    nodes: list[TriedNode]
    classes: dict[str, int]
    callers: dict[str, TriedCaller]
    span_seconds: float
    kept_per_day: float | None


class Examples(Answer):
    """Each `exchange id/input index`."""

    both: list[str]
    only_first: list[str]
    only_second: list[str]


class Compared(Answer):
    both: int
    only_first: int
    only_second: int
    examples: Examples


class Unreadable(Answer):
    count: int
    first: list[str]


class Backtest(Trial):
    """`is_whole` unless time was up first; `left_out` exchanges could not be redacted."""

    unreadable: Unreadable
    source: str
    is_whole: bool
    left_out: int
    against: Trial | None = None
    comparison: Compared | None = None


class Health(Answer):
    status: Literal["ok"]


class Readiness(Answer):
    """What is wrong with each part that is not ready."""

    status: Literal["ready", "not ready"]
    reasons: dict[str, str]
