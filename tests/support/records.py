"""Recorded exchanges for tests: predict calls as the engine would have read them, and record files of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sidecar.backtest.sources import decoded
from sidecar.capture.arrival import ArrivalReader
from sidecar.capture.caller import Callers
from sidecar.kit.ids import digest
from sidecar.records.exchanges import write_exchange
from sidecar.records.recorded import Recorded
from support.exchanges import predict

ARRIVALS = ArrivalReader(Callers("x-caller-id", {}), ("content-type", "authorization"))
START = 1_700_000_000.0


def recorded(
    number: int, *predictions: Sequence[float], caller: str = "alice", model: str = "digits", seconds: float = 60.0
) -> Recorded:
    """Exchange `number`, `seconds` after the one before it, with an input for each of `predictions`."""
    exchange = predict(
        f"/v1/models/{model}:predict",
        {"instances": [[number, place] for place in range(len(predictions))]},
        {"predictions": list(predictions)},
        headers={"X-Caller-Id": caller, "Authorization": "Key of-somebody", "X-Request-Id": f"request-{number}"},
    )
    named = exchange._replace(id=digest("test", number), started_at=START + number * seconds)
    found = decoded(named, ARRIVALS)
    assert found is not None
    return found


def write_record(path: Path, exchanges: Iterable[Recorded]) -> Path:
    path.write_bytes(b"".join(map(write_exchange, exchanges)))
    return path
