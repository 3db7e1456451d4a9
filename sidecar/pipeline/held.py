"""Jobs that a reservoir holds back, on their way to the queue: one that was displaced before it was written never is.

Called at once before a record is handed to the queue, so that whatever displaces a job later finds it there.
"""

from __future__ import annotations

from collections import Counter

from sidecar.memory import Change, name_of_input
from sidecar.queue.values import NewJob


def withdraw_displaced(kept: list[NewJob], counts: Counter[tuple[str, str, str]], changes: list[Change]) -> None:
    """Count the displaced among `kept` as filtered instead, and leave to the queue what it alone can do."""
    changes[:] = [change for change in changes if change.victim is None or change.victim.is_sent]
    gone = {(change.memory.place.collector, change.entry.name) for change in changes if change.is_displaced}
    if gone:
        changes[:] = [change for change in changes if not change.is_displaced]
        withdrawn = [job for job in kept if (job.collector, name_of_input(job.exchange_id, job.input_index)) in gone]
        kept[:] = [job for job in kept if job not in withdrawn]
        for job in withdrawn:
            counts[job.collector, "filtered", "pre_queue"] += 1
    for change in changes:
        change.is_sent = True
