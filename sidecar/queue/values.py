"""What goes into the queue and comes out of it: frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.memory import Change
from sidecar.queue.states import Event, State

Counts = Mapping[tuple[str, str, str], int]
"""How many of a (collector, verdict, reason); the verdict is `filtered` or `dropped`."""


WORKFLOW = "$workflow"
"""Stands for a destination where a job of several waits for the workflow that is run once for all of them."""


class Lane(NamedTuple):
    """What is leased and worked off by itself: the rows of one collector for one destination."""

    collector: str
    destination: str


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
    destinations: tuple[str, ...] = ("app",)
    """Their names, one at least."""
    has_workflow: bool = False
    """True if a post-queue workflow decides first: where there are several destinations it has a row of its own."""


class Job(NamedTuple):
    """A job that is leased for one destination. `attempts` counts these leases, this one included, since it was queued
    or put back by hand."""

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
    destination: str = "app"
    """Whom it is leased for; `WORKFLOW` where all wait for that."""
    siblings: int = 0
    """How many other destinations the job has."""
    trace: str = ""
    """What the nodes of the post-queue workflow made of it in an earlier lease, as JSON; blank when it has not run."""
    tries: str = ""
    """Those for this destination that failed, see `tries`."""

    @property
    def lane(self) -> Lane:
        return Lane(self.collector, self.destination)


class DeliveryView(NamedTuple):
    """How a job stands with one destination."""

    destination: str
    state: str
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str


class JobView(NamedTuple):
    """A pending or dead job as people see it: everything but its content. From `state` on it tells of the destination
    that decides, which is a pending one if there is any."""

    id: int
    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    created_at: float
    state: str
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str
    destinations: tuple[DeliveryView, ...] = ()
    """Every one that the job has."""


class DeliveryStory(NamedTuple):
    """How a job stands with one destination, or ended there, and how it came to that."""

    destination: str
    state: str
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str
    settled_at: float
    """When its last lease came to an end; 0 before the first did."""
    tries: str
    """Those that failed, see `tries`."""


class JobStory(NamedTuple):
    """All that is known of a pending or dead job, with its content."""

    view: JobView
    details: str
    trace: str
    input: bytes
    output: bytes | None
    result: bytes | None
    destinations: tuple[DeliveryStory, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs: those that meet all that is given, with one and the same row where it is about a row's state,
    destination and reason. Blank and None stand for any."""

    ids: Collection[int] | None = None
    states: Collection[State] = ()
    collector: str = ""
    destination: str = ""
    reason: str = ""
    since: float | None = None
    """When the job was made, in seconds since the epoch, inclusive."""
    until: float | None = None
    """The same, exclusive."""


EVERY = Wanted()


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


@dataclass(frozen=True, slots=True)
class Split:
    """The workflow that several destinations waited for wants the input: each of them gets a row of its own."""

    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Its collector no longer names this destination; the job ends by what its others come to."""

    reason: str = "destination_removed"
    detail: str = ""


End = Filtered | Delivered | Retry | Rejected | Dropped | Split | LetGo
EVENT_OF: Mapping[type[End], Event] = {
    Filtered: Event.FILTERED,
    Delivered: Event.DELIVERED,
    Retry: Event.RETRY,
    Rejected: Event.REJECTED,
    Dropped: Event.DROPPED,
    Split: Event.SPLIT,
    LetGo: Event.LET_GO,
}


class Settlement(NamedTuple):
    """How the lease of `job` ended. `result` is kept with a job that stays, so that its workflow never runs twice, and
    `trace` with it: what the workflow's nodes made of it."""

    job: Job
    end: End
    result: bytes | None = None
    changes: tuple[Change, ...] = ()
    """What the workflow's nodes remember of it."""
    trace: str = ""
