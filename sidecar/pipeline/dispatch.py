"""Durable queue → post-queue workflow → delivery: the second half of an input's way.

Owns the order. Leases what is due, runs each job's post-queue workflow at most once (its result is stored with the
job), posts in batches, and settles every job by the answer. One collector's slow destination holds up no other: while
a collector has a batch under way, no more of its jobs are leased. Waits for events, never polls. A lease that cannot
be settled, as the database failed, runs out by itself; its job is posted again under the same id, which is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import orjson

from sidecar.data import Data, from_wire, to_wire
from sidecar.delivery.backoff import retry_at
from sidecar.delivery.destination import Destination, Parcel, input_id_of
from sidecar.delivery.outcome import Delivered, Outcome, Retry
from sidecar.errors import PermanentError, TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.models import finish
from sidecar.pipeline.parcel import posted_data
from sidecar.pipeline.plan import Plan, Policy
from sidecar.queue import values
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import Job, Settlement
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, ModelRequest, Verdict, run

LEASE_LIMIT = 512
LEASE_SECONDS = 300.0
WORKFLOWS_AT_ONCE = 16


_NO_POLICY = ("policy_broken", "the collector's workflow cannot run: see the problems of its policy")


class Ready(NamedTuple):
    """A job whose workflow has run: `result` is what to store, None when there is nothing to store."""

    job: Job
    data: Data
    result: bytes | None


class Dispatch:
    """Works on due jobs until it is stopped."""

    def __init__(
        self,
        queue: JobQueue,
        plan: Callable[[], Plan],
        destination_of: Callable[[Policy], Destination],
        ask: Callable[[ModelRequest], Awaitable[Data]],
        retry_for_seconds: float,
        clock: Clock,
        events: Events,
    ) -> None:
        self._queue = queue
        self._plan = plan
        self._destination_of = destination_of
        self._ask = ask
        self._retry_for_seconds = retry_for_seconds
        self._clock = clock
        self._events = events
        self._busy: set[str] = set()
        self._batches = Tasks(events.task_failed)
        self._asking = asyncio.Semaphore(WORKFLOWS_AT_ONCE)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._queue.wake.clear()
            try:
                seconds = await self._start_what_is_due()
            except TransientError as error:  # the database: said where it failed
                seconds = error.retry_after_seconds
            if seconds != 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._queue.wake.wait(), seconds)

    async def stop(self, grace_seconds: float) -> None:
        """Let the batches under way end, then cut them: their jobs stay in the queue. Safe twice."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._batches.drained(), grace_seconds)
        await self._batches.stop()

    async def _start_what_is_due(self) -> float | None:
        """Start work on due jobs; gives the seconds until there will be more, None when only an event can tell."""
        jobs = await self._queue.lease(LEASE_LIMIT, LEASE_SECONDS, busy=tuple(self._busy))
        for collector, group in _by_collector(jobs).items():
            self._busy.add(collector)
            self._batches.start(self._work(collector, group), f"dispatch {collector}")
        if jobs:
            return 0.0
        due = await self._queue.next_due(busy=tuple(self._busy))
        return None if due is None else max(0.0, due - self._clock.now())

    async def _work(self, collector: str, jobs: Sequence[Job]) -> None:
        try:
            policy = self._plan().policies.get(collector)
            if policy is None:
                await self._queue.settle([self._later(job, *_NO_POLICY) for job in jobs])
                return
            destination = self._destination_of(policy)
            ready, settled = await self._through_workflow(policy, jobs)
            await self._queue.settle(settled)
            for start in range(0, len(ready), destination.max_batch):
                await self._deliver(policy, destination, ready[start : start + destination.max_batch])
        finally:
            self._busy.discard(collector)
            self._queue.wake.set()

    async def _through_workflow(self, policy: Policy, jobs: Sequence[Job]) -> tuple[list[Ready], list[Settlement]]:
        done = await asyncio.gather(*(self._process(policy, job) for job in jobs))
        ready = [item for item in done if isinstance(item, Ready)]
        return ready, [item for item in done if isinstance(item, Settlement)]

    async def _process(self, policy: Policy, job: Job) -> Ready | Settlement:
        given = _read(job.input)
        is_read = policy.collector.collect_outputs or policy.post_queue is not None
        output = _read(job.output) if job.output is not None and is_read else None
        if policy.post_queue is None:
            return Ready(job, posted_data(policy.collector, given, output, None), None)
        if job.result is not None:
            return Ready(job, posted_data(policy.collector, given, output, _read(job.result)), None)
        item = Item(bytes.fromhex(job.exchange_id), job.input_index, job.collector, given, output)
        try:
            async with self._asking:
                verdict = await finish(run(policy.post_queue, item, "$input"), self._ask)
        except TransientError as error:
            return self._later(job, "model_unavailable", str(error), error.retry_after_seconds)
        except PermanentError as error:
            return Settlement(job, values.Rejected("model_refused", str(error)))
        return self._judged(policy, job, item, verdict)

    def _judged(self, policy: Policy, job: Job, item: Item, verdict: Verdict) -> Ready | Settlement:
        if isinstance(verdict, Filtered):
            return Settlement(job, values.Filtered("post_queue"))
        if isinstance(verdict, Dropped):
            self._events.operator_failed(job.collector, verdict.detail)
            return Settlement(job, values.Dropped(verdict.reason, verdict.detail))
        kept: Kept = verdict
        data = posted_data(policy.collector, item.input, item.output, kept.output)
        return Ready(job, data, orjson.dumps(to_wire(kept.output)))

    async def _deliver(self, policy: Policy, destination: Destination, ready: Sequence[Ready]) -> None:
        outcomes = await destination.deliver([_parcel(policy, item) for item in ready])
        settlements = [self._settlement(item, outcome) for item, outcome in zip(ready, outcomes, strict=True)]
        await self._queue.settle(settlements)

    def _settlement(self, item: Ready, outcome: Outcome) -> Settlement:
        if isinstance(outcome, Delivered):
            return Settlement(item.job, values.Delivered())
        if isinstance(outcome, Retry):
            later = self._later(item.job, outcome.reason, outcome.detail, outcome.after_seconds)
            return later._replace(result=item.result)
        return Settlement(item.job, values.Rejected(outcome.reason, outcome.detail), item.result)

    def _later(self, job: Job, reason: str, detail: str, after_seconds: float | None = None) -> Settlement:
        """Another try later, or the end of trying when the job has waited for as long as the settings say."""
        now = self._clock.now()
        at = retry_at(job.attempts, now, after_seconds, f"{job.exchange_id}:{job.input_index}:{job.collector}")
        if at - job.queued_at > self._retry_for_seconds:
            return Settlement(job, values.Rejected(reason, f"gave up after {job.attempts} tries: {detail}"))
        return Settlement(job, values.Retry(at, reason, detail))


def _by_collector(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.collector, []).append(job)
    return groups


def _read(content: bytes) -> Data:
    return from_wire(orjson.loads(content))


def _parcel(policy: Policy, item: Ready) -> Parcel:
    job = item.job
    return Parcel(
        input_id=input_id_of(job.exchange_id, job.input_index, job.collector),
        data=item.data,
        collector=job.collector,
        caller=job.caller,
        model=job.model,
        version=job.version,
        user_id=policy.collector.user_id,
        app_id=policy.collector.app_id,
        created_at=job.created_at,
    )
