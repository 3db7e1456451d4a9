"""What ties rows to their request: made at `collect`, handed on by `add_correlations`, found at the next `collect`.

The three columns are the documented ones. Pure but for random ids.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Iterator, Mapping

from sidecar.datacollector.record import Correlation, Row, Table
from sidecar.datacollector.tables import kind_of

TIMESTAMP, CORRELATION_ID, REQUEST_ID = COLUMNS = ("$Timestamp", "$CorrelationId", "$RequestId")
Correlations = Dict[str, str]


class Correlated(list):  # type: ignore[type-arg] # list[Any] cannot be subclassed on Python 3.8
    """Rows that remember their request."""

    correlations: Mapping[str, str] = {}


def new_correlation(seconds: float, correlation_id: str, *, must_correlate: bool) -> Correlation:
    """The one of a request that is only now recorded; the correlation id stays as it was given.

    Where none was given and others must be able to refer to it, the request's own is the one to correlate by.
    """
    digits = os.urandom(16).hex()
    request_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return Correlation(seconds, correlation_id or (request_id if must_correlate else ""), request_id)


def told(correlation: Correlation) -> Correlations:
    """What `collect` returns."""
    return {
        TIMESTAMP: rfc3339(correlation.seconds),
        CORRELATION_ID: correlation.correlation_id,
        REQUEST_ID: correlation.request_id,
    }


def correlate(data: Any, correlations: Mapping[str, str]) -> Any:  # noqa: ANN401 - see tables
    """`data` with `correlations`; the original is not touched."""
    kind = kind_of(data)
    if kind == "pyspark":
        data = data.toPandas() if hasattr(data, "toPandas") else data.to_pandas()
    if kind in ("pandas", "pyspark"):
        return data.assign(**{name: correlations[name] for name in COLUMNS if name in correlations})
    if kind == "numpy" or isinstance(data, list):
        rows = Correlated(data.tolist() if kind else data)
        rows.correlations = dict(correlations)
        return rows
    return data


def correlations_in(data: Any, table: Table, fallback: Correlation) -> Iterator[tuple[Correlation, Table]]:  # noqa: ANN401
    """The parts of `table` that share a request: found in `data`, or in the table's own columns; else `fallback`."""
    if isinstance(data, Correlated):
        yield _read(data.correlations, fallback), table
    elif CORRELATION_ID in table.columns or REQUEST_ID in table.columns:
        yield from _split(table, fallback)
    else:
        yield fallback, table


def _split(table: Table, fallback: Correlation) -> Iterator[tuple[Correlation, Table]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    places = [table.columns.index(name) for name in COLUMNS if name in table.columns]
    names = [table.columns[place] for place in places]
    kept = [place for place in range(len(table.columns)) if place not in places]
    for row in table.rows:
        found.setdefault(tuple(row[place] for place in places), []).append([row[place] for place in kept])
    columns = tuple(table.columns[place] for place in kept)
    for values, rows in found.items():
        told_here = {name: str(value) for name, value in zip(names, values)}
        yield _read(told_here, fallback), Table(columns, rows, table.weight_bytes // len(found))


def _read(correlations: Mapping[str, str], fallback: Correlation) -> Correlation:
    return Correlation(
        _seconds(correlations.get(TIMESTAMP, ""), fallback.seconds),
        correlations.get(CORRELATION_ID, fallback.correlation_id),
        correlations.get(REQUEST_ID, fallback.request_id),
    )


def rfc3339(seconds: float) -> str:
    """`seconds` since the epoch as `2017-04-11T21:50:50.223962Z`."""
    microseconds = round(seconds * 1e6)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(microseconds // 1_000_000))
    return f"{whole}.{microseconds % 1_000_000:06d}Z"


def _seconds(text: str, fallback: float) -> float:
    import datetime

    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return fallback
    utc = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
    return utc.timestamp()
