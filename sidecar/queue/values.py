"""What goes into the queue and comes out of it: frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.memory import Change
from sidecar.queue.states import Event

Counts = Mapping[tuple[str, str, str], int]
"""How many of a (collector, verdict, reason); the verdict is `filtered` or `dropped`."""


class NewJob(NamedTuple):
    """A kept input. `exchange_id` is 32 hexadecimal digits; `input`, `output` and `details` are JSON."""

    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    input: bytes
    output: bytes | None = None
    details: str = "{}"


class Job(NamedTuple):
    """A leased job. `attempts` counts its leases, this one included, since it was queued or put back by hand."""

    id: int
    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    input: bytes
    output: bytes | None
    result: bytes | None
    """What the post-queue workflow gave in an earlier lease; None when it has not run."""
    details: str
    created_at: float
    queued_at: float
    """When it was queued, or put back by hand: what the limit on retrying counts from."""
    attempts: int
    reason: str
    """Why the last try failed; blank on the first."""
    leased_until: float
    """When others may take it, in seconds since the epoch; it also tells this lease from any other."""
    voids: int = 0
    """How many engines in a row have died while they had it leased."""


class JobView(NamedTuple):
    """A pending or dead job as people see it: everything but its content."""

    id: int
    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    state: str
    created_at: float
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """The policy did not want it."""

    reason: str = "post_queue"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """To be tried again at `retry_at`, in seconds since the epoch."""

    retry_at: float
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Will fail however often it is tried: it becomes a dead letter."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Let go, and no policy meant it."""

    reason: str
    detail: str = ""


End = Filtered | Delivered | Retry | Rejected | Dropped
EVENT_OF: Mapping[type[End], Event] = {
    Filtered: Event.FILTERED,
    Delivered: Event.DELIVERED,
    Retry: Event.RETRY,
    Rejected: Event.REJECTED,
    Dropped: Event.DROPPED,
}


class Settlement(NamedTuple):
    """How the lease of `job` ended. `result` is kept with a job that stays, so that its workflow never runs twice."""

    job: Job
    end: End
    result: bytes | None = None
    changes: tuple[Change, ...] = ()
    """What the workflow's nodes remember of it."""
