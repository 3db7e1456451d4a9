"""Record files as the seed's library for scoring code has them: CSV, inputs and predictions apart. Source: the
contract, section 1; the folders and the text are those of `datacollector.files`.

    modeldata/{sub}/{rg}/{account}/{caller}/{model}-{model}-{version}/inputs/{yyyy}/{mm}/{dd}/data-{name}.csv
    …/predictions/…

Subscription, resource group and account are `unknown`; the correlation id is the input's, by which the two rows are
joined. After the features stand columns of ours, with a `$` before their names. Every file has one header, which all of
its rows fit: other columns start another file. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sidecar.datacollector.correlations import COLUMNS, rfc3339
from sidecar.datacollector.files import csv_text, folder_of
from sidecar.datacollector.record import Identity
from sidecar.records.cells import flat_row_of
from sidecar.records.entries import Entry
from sidecar.records.record_file import RecordFile

OURS = ("$Status", "$LatencySeconds", "$SamplingRate", "$TraceParent", "$Collector", "$ExchangeId", "$InputIndex")
_UNKNOWN = "unknown"


def write_azure_csv(entries: Sequence[Entry], name: str) -> Iterator[RecordFile]:
    """The files of `entries`; `name` is part of each file's name."""
    tables: dict[str, dict[tuple[str, ...], list[list[Any]]]] = {}
    for entry in entries:
        for identifier, wire in (("inputs", entry.given), ("predictions", entry.output)):
            if wire is not None:
                row = flat_row_of(wire)
                table = tables.setdefault(_folder(entry, identifier), {})
                table.setdefault(tuple(row), []).append(_cells(entry, row))
    for folder, groups in tables.items():
        for number, (columns, rows) in enumerate(groups.items()):
            path = f"{folder}/data-{name}{f'-{number}' if number else ''}.csv"
            yield RecordFile(path, csv_text([[*COLUMNS, *columns, *OURS], *rows]))


def _folder(entry: Entry, identifier: str) -> str:
    known = entry.known
    version = known.version or _UNKNOWN
    whose = Identity(
        _UNKNOWN, _UNKNOWN, _UNKNOWN, known.caller or _UNKNOWN, known.model, known.model, version
    )  # fmt: skip
    return folder_of(whose, identifier, known.started_at)


def _cells(entry: Entry, row: dict[str, Any]) -> list[Any]:
    known = entry.known
    before = [rfc3339(known.started_at), known.input_id, entry.header("x-request-id")]
    after = [
        known.status, known.latency_seconds, entry.sampling_rate, entry.header("traceparent"), known.collector,
        known.exchange_id, known.input_index,
    ]  # fmt: skip
    return [*before, *row.values(), *after]
