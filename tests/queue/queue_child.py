"""A process that records and settles without end, to be killed in the middle; it says after each round what is done."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import structlog

from sidecar.events import Events
from sidecar.kit.clock import SystemClock
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import Delivered, End, Filtered, Job, NewJob, Rejected, Retry, Settlement
from sidecar.store.database import Database, sqlite_url

COLLECTORS = ("a", "b", "c")


async def feed(queue: JobQueue) -> None:
    matched = 0
    while True:
        exchange = os.urandom(16).hex()
        await queue.record(
            [NewJob(exchange, 0, each, "", "m", "", b"x" * 1500) for each in COLLECTORS],
            {("a", "filtered", "pre_queue"): 2},
        )
        matched += len(COLLECTORS) + 2
        print(matched, flush=True)


async def work_off(queue: JobQueue) -> None:
    while True:
        jobs = await queue.lease(10, 60)
        await queue.settle([Settlement(job, end_of(job)) for job in jobs[: random.randint(0, 10)]])


def end_of(job: Job) -> End:
    return random.choice((Delivered(), Filtered(), Rejected("too_large"), Retry(job.created_at, "timeout")))


async def main(folder: Path) -> None:
    events = Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))
    async with Database(sqlite_url(folder)) as database:
        queue = JobQueue(database, SystemClock(), events, os.urandom(8).hex())
        await queue.void_leases()
        await asyncio.gather(feed(queue), work_off(queue))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
