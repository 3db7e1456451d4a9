"""A recording: the newest exchanges, of one model or of all, in memory while somebody asks for it, given out redacted.

Owns what is kept, bounded in number, bytes and time. While no recording runs nothing is copied for it and nothing is
paid. One that runs adds what it wants to the relays' index; an exchange that no collector wants is then copied, looked
at here, and *unwanted* to the ledger as ever. What is given out has passed the rules of the recording and those of
every collector of their model; what a rule cannot read is left out and counted. Headers that are not on the allow-list
were gone before.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sidecar.backtest.sources import recorded_of
from sidecar.capture.arrival import Arrival, decode_arrival
from sidecar.collector import Collector, RedactRule
from sidecar.data import Data, Json
from sidecar.errors import ConfigurationError, ConflictError
from sidecar.frame import Want, build_index
from sidecar.kit.ids import fraction_of_id
from sidecar.pipeline.plan import Plan
from sidecar.policy.match import wants
from sidecar.protocol.call import Call
from sidecar.records.recorded import Recorded
from sidecar.redaction.detector import BUILT_IN_DETECTORS, Detectors
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction

MOST_EXCHANGES = 10_000
MOST_BYTES = 64 * 2**20
MOST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded; a blank model, version or caller means any."""

    model: str = ""
    version: str = ""
    caller: str = ""
    sample_exchanges: float = 1.0
    """The fraction of exchanges, in (0, 1], drawn from their ids as collectors' is."""
    count: int = 1000
    """Exchanges to keep; beyond it, and beyond `size_bytes`, the oldest goes."""
    size_bytes: int = 16 * 2**20
    seconds: float = 600.0
    """How long: then nothing more is copied."""
    redact: tuple[RedactRule, ...] = ()

    @property
    def want(self) -> Want:
        return Want(self.model, self.version, self.caller, self.sample_exchanges)


_ASKED = ("model", "version", "caller", "sample_exchanges", "count", "size_bytes", "seconds")


class Recorder:
    """At most one recording at a time; on the engine's loop."""

    def __init__(self, detectors: Detectors = BUILT_IN_DETECTORS) -> None:
        self._detectors = detectors
        self.on_change: Callable[[], object] = lambda: None
        """Called when `want` has changed."""
        self.collectors: Callable[[], Iterable[Collector]] = tuple
        """Every collector there is: their rules hold for what is given out."""
        self._wish: Wish | None = None
        self._is_running = False
        self._timer: asyncio.TimerHandle | None = None
        self._kept: deque[Arrival] = deque()
        self._kept_bytes = 0
        self._seen = 0

    @property
    def want(self) -> Want | None:
        """What the relays are to copy for it; None while nothing is recorded."""
        return self._wish.want if self._wish is not None and self._is_running else None

    def start(self, wish: Wish) -> None:
        """Raises ConflictError while another one runs or has not been let go."""
        if self._wish is not None:
            what = repr(self._wish.model) if self._wish.model else "all models"
            raise ConflictError(f"a recording of {what} is there already: DELETE /v1/record lets it go")
        self._wish, self._is_running, self._seen = wish, True, 0
        self._timer = asyncio.get_running_loop().call_later(wish.seconds, self._end)
        self.on_change()

    def stop(self) -> None:
        """Let everything go; safe twice."""
        self._end()
        self._wish = None
        self._kept.clear()
        self._kept_bytes = 0

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_running:
            self._is_running = False
            self.on_change()

    def see(self, arrival: Arrival, call: Call) -> None:
        """Keep the exchange, if it is wanted."""
        wish = self._wish
        if wish is None or not self._is_running or not _is_wanted(wish, arrival, call):
            return
        self._seen += 1
        self._kept.append(arrival)
        self._kept_bytes += arrival.size_bytes
        while len(self._kept) > wish.count or self._kept_bytes > wish.size_bytes:
            self._kept_bytes -= self._kept.popleft().size_bytes

    def status(self) -> Json:
        """What is recorded, and how much of it is there."""
        wish = self._wish
        if wish is None:
            return {"recording": False}
        counts = {"seen": self._seen, "kept": len(self._kept), "kept_bytes": self._kept_bytes}
        asked = {name: getattr(wish, name) for name in _ASKED}
        return {"recording": self._is_running, **counts, **asked}

    def exchanges(self, newest: int | None = None) -> Iterator[Recorded | None]:
        """What is kept now, oldest first, redacted; None in the place of one that cannot be."""
        wish = self._wish
        if wish is None:
            return
        collectors, redactions = tuple(self.collectors()), dict[str, Redaction | None]()
        for arrival in list(self._kept)[-newest if newest else 0 :]:
            recorded = recorded_of(arrival, decode_arrival(arrival), wish.sample_exchanges)
            model = recorded.call.model
            try:
                if model not in redactions:
                    redactions[model] = _redaction(wish, collectors, model, self._detectors)
            except ConfigurationError:  # a detector of theirs is broken: what it would have found is not known
                yield None
                continue
            redaction = redactions[model]
            yield recorded if redaction is None else redacted(recorded, redaction)


def _redaction(wish: Wish, collectors: Iterable[Collector], model: str, detectors: Detectors) -> Redaction | None:
    """What holds for an exchange of `model`: the rules of the recording, and those of every collector of that model.
    Raises ConfigurationError."""
    rules = dict.fromkeys(wish.redact)
    for collector in collectors:
        if collector.source.model_id == model:
            rules.update(dict.fromkeys(collector.redact))
    return Redaction(tuple(rules), detectors) if rules else None


def _is_wanted(wish: Wish, arrival: Arrival, call: Call) -> bool:
    return (
        wish.model in ("", call.model)
        and wish.version in ("", call.version)
        and wish.caller in ("", arrival.asked.caller)
        and fraction_of_id(arrival.id) < wish.sample_exchanges
    )


def redacted(recorded: Recorded, redaction: Redaction) -> Recorded | None:
    """The exchange as `redaction` leaves it, all of its inputs and outputs; None where it cannot read one of them."""
    call = recorded.call
    try:
        inputs: tuple[Data, ...] = tuple(redaction.input(each) for each in call.inputs)
        outputs = tuple(redaction.output(each) for each in call.outputs)
    except UnredactableError:
        return None
    said = inputs[0].metadata if inputs else {}
    call = call._replace(
        version=str(said.get("version", "")), inputs=inputs, outputs=outputs, error=redaction.text(call.error),
        output_error=redaction.text(call.output_error),
    )  # fmt: skip
    return recorded._replace(caller=str(said.get("caller", "")), call=call)


def with_want(plan: Plan, want: Want | None) -> Plan:
    """`plan` with what a recording wants in its index, beside what its collectors want."""
    if want is None:
        return plan
    wanted = wants(policy.collector for policy in plan.policies.values())
    return dataclasses.replace(plan, index=build_index([*wanted, want]))
