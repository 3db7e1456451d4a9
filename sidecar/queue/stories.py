"""One job's whole story, for whoever looks at it or at the input that it became. Statements on a connection."""

from __future__ import annotations

from sqlalchemy import Connection, select

from sidecar.queue import by_hand, ended
from sidecar.queue.values import DeliveryStory, JobStory, Wanted
from sidecar.store.tables import DELIVERY, JOB

_CONTENT = ("details", "trace", "input", "output", "result")


def find_job(connection: Connection, job_id: int) -> JobStory | None:
    """A pending or dead job; None where there is none of that id."""
    found = by_hand.list_jobs(connection, Wanted(ids=[job_id]), None, 1)
    if not found:
        return None
    content = connection.execute(select(*(JOB.c[name] for name in _CONTENT)).where(JOB.c.id == job_id)).one()
    return JobStory._make((found[0], *content, _destinations_of(connection, job_id)))


def find_destinations(
    connection: Connection, exchange_id: str, input_index: int, collector: str
) -> tuple[DeliveryStory, ...]:
    """How the job of this name stands with each destination, or ended there; none where that is not known any more."""
    named = (
        JOB.c.exchange_id == exchange_id,
        JOB.c.input_index == input_index,
        JOB.c.collector == collector,
    )
    job_id = connection.execute(select(JOB.c.id).where(*named)).scalar()
    if job_id is None:
        return ended.find(connection, exchange_id, input_index, collector)
    return _destinations_of(connection, job_id)


def _destinations_of(connection: Connection, job_id: int) -> tuple[DeliveryStory, ...]:
    columns = (DELIVERY.c[name] for name in DeliveryStory._fields)
    statement = select(*columns).where(DELIVERY.c.job_id == job_id).order_by(DELIVERY.c.destination)
    return tuple(DeliveryStory(*row) for row in connection.execute(statement))
