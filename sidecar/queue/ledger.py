"""The durable half of the ledger: for every collector, matched = filtered + delivered + dead + dropped + pending.

Reads the ended jobs from `tally` and how the others stand from `delivery`, in one statement and so in one view of the
database. A job of several destinations counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, case, func, literal_column, select, union_all

from sidecar.data import Json
from sidecar.queue.rows import is_in
from sidecar.queue.states import State
from sidecar.store.database import Database
from sidecar.store.tables import DELIVERY, TALLY

PENDING = "pending"
_WITH_REASONS = ("filtered", "dropped", "dead", PENDING)


@dataclass(frozen=True, slots=True)
class Sums:
    """How many inputs were matched, and what has become of them."""

    matched: int = 0
    filtered: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    pending: int = 0

    @property
    def holds(self) -> bool:
        return self.matched == self.filtered + self.delivered + self.dead + self.dropped + self.pending

    def to_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Ledger:
    """`reasons` is verdict → reason → count; a job that waits for its first try is pending under the blank reason."""

    total: Sums = field(default_factory=Sums)
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    collectors: Mapping[str, Sums] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """True if the sums add up, for every collector by itself."""
        return self.total.holds and all(sums.holds for sums in self.collectors.values())

    def to_json(self) -> Json:
        return {
            "total": self.total.to_json(),
            "reasons": {verdict: dict(counts) for verdict, counts in self.reasons.items()},
            "collectors": {collector: sums.to_json() for collector, sums in self.collectors.items()},
        }


async def read_ledger(database: Database) -> Ledger:
    """The ledger as of now."""
    return build_ledger(await database.read(_rows))


def build_ledger(rows: Iterable[tuple[str, str, str, int]]) -> Ledger:
    """Add up rows of (collector, verdict, reason, count)."""
    total = dict.fromkeys(Sums.__slots__, 0)
    reasons: dict[str, dict[str, int]] = {verdict: {} for verdict in _WITH_REASONS}
    collectors: dict[str, dict[str, int]] = {}
    for collector, verdict, reason, count in sorted(rows):
        of_collector = collectors.setdefault(collector, dict.fromkeys(Sums.__slots__, 0))
        of_collector[verdict] += count
        total[verdict] += count
        if verdict in reasons:
            reasons[verdict][reason] = reasons[verdict].get(reason, 0) + count
    return Ledger(Sums(**total), reasons, {collector: Sums(**sums) for collector, sums in collectors.items()})


def _rows(connection: Connection) -> list[tuple[str, str, str, int]]:
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(_ALL)]


def _verdict(is_dead: ColumnElement[bool]) -> ColumnElement[str]:
    return case((is_dead, literal_column(f"'{State.DEAD.value}'")), else_=literal_column(f"'{PENDING}'"))


def _alone() -> Select[Any]:
    """The jobs of one destination: as many as their rows."""
    verdict = _verdict(is_in(State.DEAD))
    rows = (DELIVERY.c.collector, DELIVERY.c.state, DELIVERY.c.reason)
    return (
        select(DELIVERY.c.collector, verdict.label("verdict"), DELIVERY.c.reason, func.count().label("count"))
        .where(DELIVERY.c.siblings == literal_column("0"))
        .group_by(*rows)
    )


def _shared() -> Select[Any]:
    """The jobs of several destinations: pending while one is, else dead; under a reason of those that decide."""
    pending = is_in(State.QUEUED, State.LEASED)
    jobs = (
        select(
            func.min(DELIVERY.c.collector).label("collector"),
            func.max(case((pending, 1), else_=0)).label("pending"),
            func.max(case((pending, DELIVERY.c.reason), else_="")).label("waits_for"),
            func.max(case((is_in(State.DEAD), DELIVERY.c.reason), else_="")).label("died_of"),
        )
        .where(DELIVERY.c.siblings > literal_column("0"))
        .group_by(DELIVERY.c.job_id)
        .subquery()
    )
    is_dead = jobs.c.pending == 0
    each = select(
        jobs.c.collector,
        _verdict(is_dead).label("verdict"),
        case((is_dead, jobs.c.died_of), else_=jobs.c.waits_for).label("reason"),
    ).subquery()
    return select(each, func.count().label("count")).group_by(*each.c)


_ALL: CompoundSelect[Any] = union_all(
    select(TALLY.c.collector, TALLY.c.verdict, TALLY.c.reason, TALLY.c.count), _alone(), _shared()
)
