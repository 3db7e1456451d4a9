"""One lane's leased jobs, taken through their collector's post-queue workflow and to one of its destinations.

Promises that each job is settled under a name whatever fails, that a fault which one job brings about costs that job
alone, and that a workflow runs at most once for a job (its result is stored with it): where a job has several
destinations the workflow is a lane of its own, and they wait for it. Work that would outlast the lease is given back. A
settlement that the database refuses is tried again for as long as the lease stands; then the lease runs out and the job
is posted again under the same id, which is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import orjson

from sidecar import collector
from sidecar.data import Data, from_wire, to_wire
from sidecar.delivery import outcome
from sidecar.delivery.backoff import retry_at
from sidecar.delivery.destination import Destination, Parcel, Way, input_id_of
from sidecar.delivery.outcome import Outcome
from sidecar.errors import ConfigurationError, PermanentError, TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.json import dumps
from sidecar.memory import Change, give_back
from sidecar.pipeline.models import finish, refusal_of
from sidecar.pipeline.parcel import posted_data
from sidecar.pipeline.plan import Plan, Policy
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import (
    WORKFLOW,
    Delivered,
    Dropped,
    Filtered,
    Job,
    Lane,
    LetGo,
    Rejected,
    Retry,
    Settlement,
    Split,
)
from sidecar.redaction.detectors import UnredactableError
from sidecar.workflow import run as workflow
from sidecar.workflow.graph import Graph
from sidecar.workflow.trace import trace

LEASE_SECONDS = 300.0
WORKFLOWS_AT_ONCE = 16
READ_AT_ONCE = 64
"""Jobs without a workflow that are read before the loop serves others."""
WORKFLOW_SECONDS = 120.0
"""What a workflow may take with all its models, so that its lease stands; a later one goes on from what they said."""
SETTLE_AGAIN_SECONDS = 5.0
_UNAVAILABLE = "model_unavailable"
_UNEXPECTED = "unexpected_error"
_DELIVERED = Delivered()
Sleep = Callable[[float], Awaitable[None]]


class Ready(NamedTuple):
    """A job whose workflow has run: `result` is what to store, None when there is nothing to store."""

    job: Job
    data: Data
    result: bytes | None
    wire: bytes = b""
    """The JSON of `data` where it is the job's own: it need not be written again."""
    changes: tuple[Change, ...] = ()
    """What the workflow's nodes remember of it."""
    trace: str = ""
    """What the workflow's nodes made of it, in this lease or in an earlier one."""


class Batch:
    """Works on batches; `work` may run for several lanes at once."""

    def __init__(
        self,
        queue: JobQueue,
        plan: Callable[[], Plan],
        using: Callable[[Policy, collector.Destination], AbstractContextManager[Destination]],
        ask: Callable[[workflow.ModelRequest], Awaitable[Data]],
        retry_for_seconds: float,
        clock: Clock,
        events: Events,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._plan = plan
        self._using = using
        self._ask = ask
        self._retry_for_seconds = retry_for_seconds
        self._clock = clock
        self._events = events
        self._sleep = sleep
        self._asking = asyncio.Semaphore(WORKFLOWS_AT_ONCE)

    async def work(self, lane: Lane, jobs: Sequence[Job]) -> None:
        """Take `jobs`, all of one lane and one lease, to their ends. Raises nothing but cancellation."""
        plan = self._plan()
        policy = plan.policies.get(lane.collector)
        try:
            if lane.collector not in plan.known:
                await self._settle([Settlement(job, Dropped("collector_deleted")) for job in jobs])
            elif policy is None:
                await self._all_later(jobs, "policy_broken", "the collector's workflow cannot run")
            else:
                await self._through(policy, lane, jobs)
        except ConfigurationError as error:
            await self._all_later(jobs, "policy_broken", str(error))
        except Exception as error:  # noqa: BLE001 - else the jobs would wait for their lease to run out, unsaid
            self._events.task_failed(f"dispatch {lane.collector}", error)
            await self._all_later(jobs, _UNEXPECTED, type(error).__name__)

    async def _through(self, policy: Policy, lane: Lane, jobs: Sequence[Job]) -> None:
        if lane.destination == WORKFLOW:
            await self._to(policy, None, jobs)
            return
        wanted = [each for each in policy.collector.destinations if each.name == lane.destination]
        if not wanted:  # a job that was meant for nothing else follows its collector, any other goes without
            wanted = list(policy.collector.destinations[:1])
            await self._settle([Settlement(job, LetGo()) for job in jobs if job.siblings])
            jobs = [job for job in jobs if not job.siblings]
        if jobs:
            with self._using(policy, wanted[0]) as destination:
                await self._to(policy, destination, jobs)

    async def _to(self, policy: Policy, destination: Destination | None, jobs: Sequence[Job]) -> None:
        """Slice by slice, so that what is done is settled while the lease stands; posted in batches all the same.
        Without a destination all of theirs wait for the workflow."""
        waiting: list[Ready] = []
        step = WORKFLOWS_AT_ONCE if policy.post_queue is not None else READ_AT_ONCE
        for start in range(0, len(jobs), step):
            if self._clock.now() > jobs[0].leased_until - LEASE_SECONDS / 2:
                await self._settle([self._given_back(job) for job in jobs[start:]])
                break
            done = await self._process_all(policy, jobs[start : start + step])
            await self._settle([item for item in done if isinstance(item, Settlement)])
            if all(_is_unavailable(item) for item in done):
                await self._all_later(jobs[start + step :], _UNAVAILABLE, "not asked: the model is away")
                break
            ready = [item for item in done if isinstance(item, Ready)]
            if destination is None:
                await self._settle([Settlement(item.job, Split(), *_found(item)) for item in ready])
                continue
            waiting += ready
            while len(waiting) >= destination.max_batch:
                await self._deliver(policy, destination, waiting[: destination.max_batch])
                del waiting[: destination.max_batch]
        if waiting and destination is not None:
            await self._deliver(policy, destination, waiting)

    async def _process_all(self, policy: Policy, jobs: Sequence[Job]) -> list[Ready | Settlement]:
        if policy.post_queue is None or all(job.siblings for job in jobs):
            await asyncio.sleep(0)
            return [self._without_workflow(policy, job) for job in jobs]
        return await asyncio.gather(*(self._process(policy, policy.post_queue, job) for job in jobs))

    def _without_workflow(self, policy: Policy, job: Job) -> Ready | Settlement:
        try:
            given = _read(job.input)
            output = _read(job.output) if job.output is not None and policy.collector.collect_outputs else None
            result = _read(job.result) if job.result is not None and job.siblings else None
            data = posted_data(policy.collector, given, output, result)
            return Ready(job, data, None, job.input if data is given else b"", trace=job.trace)
        except Exception as error:  # noqa: BLE001 - one input that trips a bug of ours must not stop the others
            return self._failed(job, error)

    async def _process(self, policy: Policy, graph: Graph, job: Job) -> Ready | Settlement:
        if job.siblings:  # its workflow has run, or it had none when it was queued
            return self._without_workflow(policy, job)
        try:
            return await self._through_workflow(policy, graph, job)
        except TransientError as error:
            return self._later(job, _UNAVAILABLE, policy.told(str(error)), error.retry_after_seconds)
        except UnredactableError as error:
            return Settlement(job, Dropped("unredactable", str(error)))
        except PermanentError as error:
            return Settlement(job, Rejected(refusal_of(error), policy.told(str(error))))
        except TimeoutError:
            return self._later(job, _UNAVAILABLE, f"no verdict within {WORKFLOW_SECONDS:g} s: its models are slow")
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(job, error)

    def _failed(self, job: Job, error: Exception) -> Settlement:
        if isinstance(error, ConfigurationError | orjson.JSONDecodeError):
            return Settlement(job, Rejected("unreadable", f"the stored input cannot be read: {type(error).__name__}"))
        return self._unexpected(job, error)

    async def _through_workflow(self, policy: Policy, graph: Graph, job: Job) -> Ready | Settlement:
        given = _read(job.input)
        output = _read(job.output) if job.output is not None else None
        if job.result is not None:
            data = posted_data(policy.collector, given, output, _read(job.result))
            return Ready(job, data, None, trace=job.trace)
        started_at = _started_at(job)
        item = workflow.Item(bytes.fromhex(job.exchange_id), job.input_index, job.collector, given, output, started_at)
        try:
            async with self._asking, asyncio.timeout(WORKFLOW_SECONDS):
                verdict = await finish(workflow.run(graph, item, "$input"), self._ask)
            return self._judged(policy, graph, job, item, verdict)
        except BaseException:
            item.give_back()  # no verdict: it is decided again
            raise

    def _judged(
        self, policy: Policy, graph: Graph, job: Job, item: workflow.Item, verdict: workflow.Verdict
    ) -> Ready | Settlement:
        if isinstance(verdict, workflow.Filtered):
            return Settlement(job, Filtered("post_queue"), changes=item.changes)
        if isinstance(verdict, workflow.Dropped):
            detail = policy.told(verdict.detail)
            self._events.operator_failed(job.collector, detail)
            item.give_back()
            return Settlement(job, Dropped(verdict.reason, detail))
        result = verdict.output if policy.redaction is None else policy.redaction.result(verdict.output)
        data = posted_data(policy.collector, item.input, item.output, result)
        traced = trace(graph, verdict.outputs or {}, has_content=policy.redaction is None)
        wire = dumps(to_wire(result))
        return Ready(job, data, wire, changes=item.changes, trace=orjson.dumps(traced).decode())

    async def _deliver(self, policy: Policy, destination: Destination, ready: Sequence[Ready]) -> None:
        """Post and settle. Where a destination raises, which none may, each input is posted by itself."""
        try:
            now = self._clock.now()
            outcomes = await destination.deliver([_parcel(policy, item, now) for item in ready])
            ends = zip(ready, outcomes, strict=True)
            settlements = [self._settlement(policy, item, each)._replace(changes=item.changes) for item, each in ends]
        except Exception as error:  # noqa: BLE001 - one input that trips a bug of ours must not stop the others
            if len(ready) == 1:
                end = self._unexpected(ready[0].job, error)
                result, changes, traced = _found(ready[0])
                await self._settle([end._replace(result=result, changes=changes, trace=traced)])
                return
            for item in ready:
                await self._deliver(policy, destination, [item])
            return
        await self._settle(settlements)

    def _settlement(self, policy: Policy, item: Ready, end: Outcome) -> Settlement:
        if isinstance(end, outcome.Delivered):
            return Settlement(item.job, _DELIVERED)
        if isinstance(end, outcome.Retry):
            later = self._later(item.job, end.reason, policy.told(end.detail), end.after_seconds)
            return later._replace(result=item.result, trace=item.trace)
        return Settlement(item.job, Rejected(end.reason, policy.told(end.detail)), item.result, trace=item.trace)

    def _unexpected(self, job: Job, error: Exception) -> Settlement:
        self._events.task_failed(f"dispatch {job.collector}", error)
        return self._later(job, _UNEXPECTED, type(error).__name__)

    def _later(self, job: Job, reason: str, detail: str, after_seconds: float | None = None) -> Settlement:
        """Another try later, or the end of trying when the job has waited for as long as the settings say."""
        now = self._clock.now()
        at = retry_at(job.attempts, now, after_seconds, f"{job.exchange_id}:{job.input_index}:{job.collector}")
        if at - job.queued_at > self._retry_for_seconds:
            return Settlement(job, Rejected(reason, f"gave up after {job.attempts} tries: {detail}"))
        return Settlement(job, Retry(at, reason, detail))

    def _given_back(self, job: Job) -> Settlement:
        return Settlement(job, Retry(self._clock.now(), "lease_too_short", "the jobs before it took too long"))

    async def _all_later(self, jobs: Sequence[Job], reason: str, detail: str) -> None:
        await self._settle([self._later(job, reason, detail) for job in jobs])

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        is_settled = not settlements
        while not is_settled:
            try:
                await self._queue.settle(settlements)
                is_settled = True
            except TransientError as error:  # the database: said where it failed
                seconds = error.retry_after_seconds or SETTLE_AGAIN_SECONDS
                if self._clock.now() + seconds >= settlements[0].job.leased_until:
                    give_back([change for settlement in settlements for change in settlement.changes])
                    return
                await self._sleep(seconds)


def _is_unavailable(item: Ready | Settlement) -> bool:
    return isinstance(item, Settlement) and isinstance(item.end, Retry) and item.end.reason == _UNAVAILABLE


def _found(item: Ready) -> tuple[bytes | None, tuple[Change, ...], str]:
    """What the workflow gave, what its nodes remember and what they made of the input."""
    return item.result, item.changes, item.trace


def _started_at(job: Job) -> float:
    """When its exchange started, in seconds since the epoch."""
    return float(orjson.loads(job.details).get("started_at", job.created_at))


def _read(content: bytes) -> Data:
    return from_wire(orjson.loads(content))


def _parcel(policy: Policy, item: Ready, now: float) -> Parcel:
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
        wire=item.wire,
        exchange_id=job.exchange_id,
        input_index=job.input_index,
        given_wire=job.input,
        output_wire=job.output,
        details_wire=job.details,
        way=_way(item, now),
    )


def _way(item: Ready, now: float) -> Way:
    job = item.job
    return Way(job.id, job.destination, job.queued_at, now, job.attempts, job.siblings, item.trace, job.tries)
