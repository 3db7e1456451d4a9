"""What passes, by caller, model and version: how many calls, how long they took, what was kept of them; the last hour.

Owns counts in memory since the engine's start, for people to look at; the ledger is elsewhere and does not need them.
Counts the exchanges that relays copy: those of models that a collector watches or a recording wants. Of all others the
relays tell no more than the names of their models. Bounded in sources, collectors and time; what is beyond is counted
together. On the engine's loop, and cheap: it sees every one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ldexp
from typing import Protocol

from sidecar.capture.arrival import Arrival
from sidecar.data import Json
from sidecar.frame import Index
from sidecar.kit.clock import Clock, rfc3339
from sidecar.passing import ModelName

MINUTES = 60
MOST_SOURCES = 1000
MOST_COLLECTORS = 10_000
FAILED_STATUS = 400
STEPS_AN_OCTAVE = 8
"""How finely latencies are sorted: shown within 12 %."""
_BOUNDS = [
    ldexp(1 + eighth / STEPS_AN_OCTAVE, octave) for octave in range(-20, 13) for eighth in range(STEPS_AN_OCTAVE)
]
"""Seconds at which a step ends and the next begins, from a microsecond to two hours."""
OTHERS = ("", "", "")
"""The source under which everything is counted once there are `MOST_SOURCES`."""

Source = tuple[str, str, str]
"""(caller, model, version)."""


class Kept(Protocol):
    """An input that goes into the queue."""

    @property
    def collector(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...


class Minutes(dict[int, int]):
    """Minute → count, of the last hour at least."""

    __slots__ = ()

    def __missing__(self, minute: int) -> int:
        """Zero; makes room for a new minute, so that there are never more than two hours of them."""
        if len(self) >= 2 * MINUTES:
            for each in sorted(self)[:MINUTES]:
                del self[each]
        return 0

    def add_all(self, other: Minutes) -> None:
        for minute, count in other.items():
            self[minute] += count

    def oldest_first(self, minute: int) -> list[int]:
        """The counts of the last hour up to `minute`, which is the last of them."""
        return [self.get(each, 0) for each in range(minute - MINUTES + 1, minute + 1)]


class Passing:
    """The calls of one source."""

    __slots__ = ("failed", "kept", "latencies", "minutes")

    def __init__(self) -> None:
        self.failed = 0
        self.kept = 0
        self.latencies: defaultdict[int, int] = defaultdict(int)
        """Step → exchanges: the step that is between the bound of that index and the one before it."""
        self.minutes = Minutes()

    @property
    def exchanges(self) -> int:
        return sum(self.latencies.values())

    def add(self, other: Passing) -> None:
        self.failed += other.failed
        self.kept += other.kept
        for step, count in other.latencies.items():
            self.latencies[step] += count
        self.minutes.add_all(other.minutes)

    def to_json(self, minute: int) -> Json:
        counts = {"exchanges": self.exchanges, "failed": self.failed, "kept": self.kept}
        shares = {f"p{share}": self._latency_ms(share / 100) for share in (50, 95, 99)}
        return {**counts, "latency_ms": shares, "minutes": self.minutes.oldest_first(minute)}

    def _latency_ms(self, share: float) -> float:
        left = self.exchanges * share
        for step in sorted(self.latencies):
            left -= self.latencies[step]
            if left <= 0:
                return round(_seconds_of(step) * 1000, 3)
        return 0.0


def _seconds_of(step: int) -> float:
    """The middle of a step, in seconds."""
    return (_BOUNDS[max(step - 1, 0)] + _BOUNDS[min(step, len(_BOUNDS) - 1)]) / 2


class Traffic:
    """Sees each exchange once, and what a batch of them came to."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self._since = clock.now()
        self._sources: dict[Source, Passing] = {}
        self._collectors: dict[str, tuple[Minutes, Minutes]] = {}

    def see(self, arrival: Arrival) -> None:
        """Count an exchange that a relay sent."""
        key = arrival.asked.key
        passing = self._sources.get(key) or self._of(key)
        if not 0 < arrival.status < FAILED_STATUS:
            passing.failed += 1
        seconds = arrival.latency_seconds
        passing.latencies[bisect_right(_BOUNDS, seconds)] += 1
        passing.minutes[int(arrival.started_at + seconds) // 60] += 1

    def kept(self, inputs: Iterable[Kept], others: Mapping[tuple[str, str, str], int]) -> None:
        """Count inputs that were kept, and others that were matched, as (collector, verdict, reason)."""
        minute = int(self._now() // 60)
        for each in inputs:
            self._of((each.caller, each.model, each.version)).kept += 1
            for minutes in self._collector(each.collector):
                minutes[minute] += 1
        for (collector, _, _), count in others.items():
            self._collector(collector)[0][minute] += count

    def to_json(self, known: Sequence[str], shown: Callable[[Source], Source]) -> Json:
        """All of it; of collectors only those that are `known`. Sources that are `shown` alike are counted together."""
        minute = int(self._now() // 60)
        by_name: dict[Source, Passing] = {}
        for source, passing in self._sources.items():
            by_name.setdefault(shown(source), Passing()).add(passing)
        sources = [
            {"caller": caller, "model": model, "version": version, **passing.to_json(minute)}
            for (caller, model, version), passing in by_name.items()
        ]
        collectors = {
            key: {"matched": matched.oldest_first(minute), "kept": kept.oldest_first(minute)}
            for key in known
            if key in self._collectors
            for matched, kept in (self._collectors[key],)
        }
        return {"since": rfc3339(self._since), "sources": sources, "collectors": collectors}

    def _of(self, source: Source) -> Passing:
        passing = self._sources.get(source)
        if passing is None:
            source = source if len(self._sources) < MOST_SOURCES else OTHERS
            passing = self._sources.setdefault(source, Passing())
        return passing

    def _collector(self, key: str) -> tuple[Minutes, Minutes]:
        """Matched, kept."""
        found = self._collectors.get(key)
        if found is None:
            if len(self._collectors) >= MOST_COLLECTORS:
                self._collectors.clear()  # an hour's lines begin anew; nothing else hangs on them
            found = self._collectors[key] = (Minutes(), Minutes())
        return found


def passing_to_json(names: Iterable[ModelName], collected: Index, shown: Callable[[Source], Source]) -> list[Json]:
    """The models whose calls pass, each with whether `collected`, what the collectors want, has calls of it. Those that
    are `shown` alike are one."""
    found: dict[tuple[str, str], bool] = {}
    for name in names:
        _, model, version = shown(("", *name))
        is_collected = collected.fraction(name.model, name.version or None, None) > 0
        found[model, version] = found.get((model, version), False) or is_collected
    return [{"model": model, "version": version, "collected": each} for (model, version), each in found.items()]
