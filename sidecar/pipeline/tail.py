"""What passes, told live to whoever listens: one event an exchange, without bodies, as its collectors allow.

Promises that intake never waits for a listener and pays nothing while there is none; that a listener who is slow misses
the oldest events and is told how many; and that of an exchange's metadata nothing is told that a collector of its model
would have redacted. Owns the listeners, bounded in number and in what waits for each. On the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.capture.arrival import Arrival
from sidecar.data import Data, Json
from sidecar.errors import CapacityError, TransientError
from sidecar.kit.clock import rfc3339
from sidecar.kit.json import dumps
from sidecar.pipeline.candidate import reason_of
from sidecar.pipeline.plan import Plan
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction
from sidecar.workflow.run import Dropped, Filtered, Verdict

MOST_LISTENERS = 16
MOST_WAITING = 1000
_KEPT = "kept"

Ended = tuple[str, Verdict]
"""(collector key, first verdict) of one input."""


class Wanted(NamedTuple):
    """Whose exchanges somebody listens to; blank means any."""

    caller: str = ""
    model: str = ""
    collector: str = ""

    def takes(self, event: Json) -> bool:
        return (
            self.caller in ("", event["caller"])
            and self.model in ("", event["model"])
            and (not self.collector or any(each["collector"] == self.collector for each in event["verdicts"]))
        )


class Listener:
    """What waits for one listener."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._waiting: deque[bytes] = deque()
        self._missed = 0
        self._is_over = False
        self._news = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Never waits: beyond `MOST_WAITING` the oldest is let go, and counted."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(event)
        self._news.set()

    def end(self) -> None:
        self._is_over = True
        self._news.set()

    async def next(self) -> tuple[int, Sequence[bytes]] | None:
        """How many were missed since the last call, and all that waits, oldest first; None at the end."""
        await self._news.wait()
        if self._is_over and not self._waiting:
            return None
        if not self._is_over:
            self._news.clear()
        missed, waiting = self._missed, tuple(self._waiting)
        self._missed = 0
        self._waiting.clear()
        return missed, waiting


class Tail:
    """Everyone who listens."""

    def __init__(self) -> None:
        self.is_heard = False
        """True while anyone listens: else nobody need call `tell`."""
        self._listeners: list[Listener] = []
        self._is_over = False
        self._plan = Plan()
        self._redactions: dict[str, list[Redaction]] = {}

    def listen(self, wanted: Wanted) -> Listener:
        """Raises CapacityError where too many listen, TransientError once it is over."""
        if self._is_over:
            raise TransientError("the sidecar is stopping")
        if len(self._listeners) >= MOST_LISTENERS:
            raise CapacityError(f"{MOST_LISTENERS} listen already")
        listener = Listener(wanted)
        self._listeners.append(listener)
        self.is_heard = True
        return listener

    def leave(self, listener: Listener) -> None:
        """Safe twice."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        self.is_heard = bool(self._listeners)

    def close(self) -> None:
        """End every listener's stream, for good."""
        self._is_over = True
        for listener in self._listeners:
            listener.end()

    def tell(self, plan: Plan, arrival: Arrival, version: str, ends: Iterable[Ended]) -> None:
        """An exchange that was decoded, with the verdict of every input for every collector that matched it."""
        event = {
            "exchange": arrival.id.hex(),
            "at": rfc3339(arrival.started_at),
            **_shown(arrival.describe(version), self._redactions_of(plan, arrival.asked.route.model)),
            "verdicts": _counted(ends),
        }
        content = b""
        for listener in self._listeners:
            if listener.wanted.takes(event):
                content = content or dumps(event)
                listener.put(content)

    def _redactions_of(self, plan: Plan, model: str) -> Sequence[Redaction]:
        """Those of every collector of the model, whoever's calls it watches."""
        if plan is not self._plan:
            self._plan, self._redactions = plan, {}
            for policy in plan.policies.values():
                if policy.redaction is not None:
                    self._redactions.setdefault(policy.collector.source.model_id, []).append(policy.redaction)
        return self._redactions.get(model, ())


def _shown(metadata: Mapping[str, Any], redactions: Sequence[Redaction]) -> Json:
    """The few fields that are told, as all `redactions` leave them; blank where one cannot say what it leaves."""
    data = Data(metadata=dict(metadata))
    try:
        for redaction in redactions:
            data = redaction.input(data)
        left = data.metadata
    except UnredactableError:
        left = {}
    texts = {name: str(left.get(name, "")) for name in ("caller", "model", "version")}
    return texts | {name: left.get(name) for name in ("status", "latency_ms")}


def _counted(ends: Iterable[Ended]) -> list[Json]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for collector, end in ends:
        verdict = "filtered" if isinstance(end, Filtered) else "dropped" if isinstance(end, Dropped) else _KEPT
        reason = reason_of(end) if isinstance(end, Filtered) else end.reason if isinstance(end, Dropped) else ""
        counts[collector, verdict, reason] += 1
    return [
        {"collector": collector, "verdict": verdict, "reason": reason, "inputs": count}
        for (collector, verdict, reason), count in counts.items()
    ]
