"""What passes, by caller, model and version: how many calls, how long they took, what was kept of them; the last hour.

Owns counts in memory since the engine's start, for people to look at; the ledger is elsewhere and does not need them.
Counts the exchanges that relays copy: those of models that a collector watches or a recording wants. Of all others the
relays tell no more than the names of their models. Bounded in sources, collectors and time; what is beyond is counted
together. On the engine's loop, and cheap: it sees every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import frexp, ldexp
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


class Minutes:
    """A count for each of the last `MINUTES` minutes."""

    __slots__ = ("_counts", "_newest")

    def __init__(self) -> None:
        self._counts = [0] * MINUTES
        self._newest = 0

    def add(self, minute: int, count: int = 1) -> None:
        if minute != self._newest:
            self._turn_to(minute)
        self._counts[minute % MINUTES] += count

    def add_all(self, other: Minutes) -> None:
        newest = max(self._newest, other._newest)
        counts = zip(self.oldest_first(newest), other.oldest_first(newest), strict=True)
        for minute, (own, theirs) in enumerate(counts, newest - MINUTES + 1):
            self._counts[minute % MINUTES] = own + theirs

    def oldest_first(self, minute: int) -> list[int]:
        """The counts up to `minute`, which is the last of them."""
        self._turn_to(minute)
        return [self._counts[each % MINUTES] for each in range(minute - MINUTES + 1, minute + 1)]

    def _turn_to(self, minute: int) -> None:
        for each in range(max(self._newest + 1, minute - MINUTES + 1), minute + 1):
            self._counts[each % MINUTES] = 0
        self._newest = max(self._newest, minute)


class Passing:
    """The calls of one source."""

    __slots__ = ("exchanges", "failed", "kept", "latencies", "minutes")

    def __init__(self) -> None:
        self.exchanges = 0
        self.failed = 0
        self.kept = 0
        self.latencies: dict[int, int] = {}
        """Step → exchanges; `_seconds_of` says how long a step stands for."""
        self.minutes = Minutes()

    def add(self, other: Passing) -> None:
        self.exchanges += other.exchanges
        self.failed += other.failed
        self.kept += other.kept
        for step, count in other.latencies.items():
            self.latencies[step] = self.latencies.get(step, 0) + count
        self.minutes.add_all(other.minutes)

    def to_json(self, minute: int) -> Json:
        counts = {"exchanges": self.exchanges, "failed": self.failed, "kept": self.kept}
        shares = {f"p{share}": self._latency_ms(share / 100) for share in (50, 95, 99)}
        return {**counts, "latency_ms": shares, "minutes": self.minutes.oldest_first(minute)}

    def _latency_ms(self, share: float) -> float:
        left = sum(self.latencies.values()) * share
        for step in sorted(self.latencies):
            left -= self.latencies[step]
            if left <= 0:
                return round(_seconds_of(step) * 1000, 3)
        return 0.0


def _seconds_of(step: int) -> float:
    """The middle of a step, in seconds."""
    octave, eighth = divmod(step - STEPS_AN_OCTAVE, STEPS_AN_OCTAVE)
    return ldexp((eighth + STEPS_AN_OCTAVE + 0.5) / (2 * STEPS_AN_OCTAVE), octave)


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
        passing.exchanges += 1
        answered = arrival.answered
        if answered is None or answered.status >= FAILED_STATUS:
            passing.failed += 1
        fraction, octave = frexp(arrival.latency_seconds)
        step = octave * STEPS_AN_OCTAVE + int(fraction * STEPS_AN_OCTAVE * 2)
        latencies = passing.latencies
        latencies[step] = latencies.get(step, 0) + 1
        passing.minutes.add(int((arrival.started_at + arrival.latency_seconds) // 60))

    def kept(self, inputs: Iterable[Kept], others: Mapping[tuple[str, str, str], int]) -> None:
        """Count inputs that were kept, and others that were matched, as (collector, verdict, reason)."""
        minute = int(self._now() // 60)
        for each in inputs:
            self._of((each.caller, each.model, each.version)).kept += 1
            for minutes in self._collector(each.collector):
                minutes.add(minute)
        for (collector, _, _), count in others.items():
            self._collector(collector)[0].add(minute, count)

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
