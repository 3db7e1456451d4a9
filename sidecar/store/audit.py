"""What was changed, by whom: rows that are written in the transaction of the change itself.

Owns the table of events and who is acting. Promises that it stays small: the newest `MOST_EVENTS` of `MOST_SECONDS`
are kept, and of each what stood before and after up to `MOST_JSON_BYTES`. Whoever calls hands in no secret.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Row, delete, func, or_, select

from sidecar.store.tables import AUDIT

MOST_EVENTS = 10_000
MOST_SECONDS = 90 * 86_400.0
MOST_JSON_BYTES = 8 * 1024
FILES = "files"
"""Who acts when policy files were changed."""
SIDECAR = "sidecar"
"""Who acts when nobody asked."""
_WHO: ContextVar[str] = ContextVar("who")


class Change(NamedTuple):
    """One thing that changed. `kind` is `noun.verb`; `before` and `after` are JSON values, None where there is none."""

    kind: str
    subject: str
    """The id of what changed."""
    collector: str = ""
    """The collector's key when it is one's doing or undoing."""
    before: Any = None
    after: Any = None


class Wanted(NamedTuple):
    """Which events: a blank field means any; `kind` may be the noun alone."""

    kind: str = ""
    who: str = ""
    collector: str = ""
    before: int | None = None
    """Older than the event of this id."""


@contextlib.contextmanager
def acting(who: str) -> Iterator[None]:
    """Name who is behind all that is changed inside."""
    token = _WHO.set(who)
    try:
        yield
    finally:
        _WHO.reset(token)


def who_acts(otherwise: str = SIDECAR) -> str:
    """Whoever is behind what happens now; `otherwise` when nobody asked for it."""
    return _WHO.get(otherwise)


def write_changes(connection: Connection, who: str, at: float, changes: Sequence[Change]) -> None:
    """Add `changes` at `at` seconds since the epoch, and forget what is too old or too much."""
    if not changes:
        return
    rows = [
        {
            "at": at,
            "who": who,
            "kind": change.kind,
            "subject": change.subject,
            "collector": change.collector,
            "before": _dump(change.before),
            "after": _dump(change.after),
        }
        for change in changes[-MOST_EVENTS:]
    ]
    connection.execute(AUDIT.insert(), rows)
    newest = connection.execute(select(func.max(AUDIT.c.id))).scalar_one()
    connection.execute(delete(AUDIT).where(or_(AUDIT.c.id <= newest - MOST_EVENTS, AUDIT.c.at < at - MOST_SECONDS)))


def list_changes(connection: Connection, wanted: Wanted, limit: int) -> list[Row[Any]]:
    """Up to `limit` of the events that are wanted, newest first."""
    statement = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if wanted.kind:
        statement = statement.where(
            or_(AUDIT.c.kind == wanted.kind, AUDIT.c.kind.startswith(f"{wanted.kind}.", autoescape=True))
        )
    if wanted.who:
        statement = statement.where(AUDIT.c.who == wanted.who)
    if wanted.collector:
        statement = statement.where(AUDIT.c.collector == wanted.collector)
    if wanted.before is not None:
        statement = statement.where(AUDIT.c.id < wanted.before)
    return list(connection.execute(statement))


def _dump(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = orjson.dumps(value)
    if len(text) > MOST_JSON_BYTES:
        text = orjson.dumps({"too_large_bytes": len(text)})
    return text.decode()
