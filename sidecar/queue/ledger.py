"""The durable half of the ledger: for every collector, matched = filtered + delivered + dead + dropped + pending.

Reads the ended jobs from `tally` and the others from `job`, in one statement and so in one view of the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, case, func, literal, select, union_all

from sidecar.data import Json
from sidecar.queue.states import State
from sidecar.store.database import Database
from sidecar.store.tables import JOB, TALLY

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
    verdict = case((JOB.c.state == State.DEAD.value, State.DEAD.value), else_=literal(PENDING)).label("verdict")
    jobs = select(JOB.c.collector, verdict, JOB.c.reason, func.count().label("count")).group_by(
        JOB.c.collector, JOB.c.state, JOB.c.reason
    )
    ended = select(TALLY.c.collector, TALLY.c.verdict, TALLY.c.reason, TALLY.c.count)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(union_all(ended, jobs))]
