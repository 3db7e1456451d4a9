"""One kept input as a line: our own JSONL (`exchanges`) with one input of an exchange, and what is known of it besides.

    input_id      under which it was posted; by it a repeat is told from another input
    status        the answer's HTTP status; 0 when there was none
    posted        what its collector posts, where that is not the input as it was
    created_at    when it was kept, in seconds since the epoch

Readers of `exchange/1` pass these over. Every format of record files is written from such lines. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from sidecar.data import Json
from sidecar.kit.json import dumps
from sidecar.records.exchanges import FORMAT


class Known(NamedTuple):
    """What is known of a kept input besides its content; times in seconds since the epoch, rates in (0, 1]."""

    input_id: str
    exchange_id: str
    input_index: int
    started_at: float
    latency_seconds: float
    status: int
    caller: str
    model: str
    version: str
    collector: str
    sample_exchanges: float
    sample_inputs: float
    created_at: float


class Entry(NamedTuple):
    """A line, read: what every format is written from."""

    line: bytes
    """With its line end."""
    known: Known
    given: Json
    """The input as it was, in the JSON of the data model."""
    output: Json | None
    posted: Json | None
    """What the collector posts, where that is not `given`."""

    @property
    def sampling_rate(self) -> float:
        """The chance with which such an input was let through: a count is divided by it."""
        return self.known.sample_exchanges * self.known.sample_inputs

    @property
    def metadata(self) -> Mapping[str, Any]:
        found = self.given.get("metadata")
        return found if isinstance(found, dict) else {}

    def header(self, name: str) -> str:
        """A header that was kept with the input, such as `traceparent`; blank without one."""
        headers = self.metadata.get("headers")
        value = headers.get(name) if isinstance(headers, dict) else None
        return value if isinstance(value, str) else ""


def write_entry(known: Known, given: bytes, output: bytes | None, posted: bytes | None) -> bytes:
    """The line, with its line end; `given`, `output` and `posted` are JSON and stand in it as they are."""
    line = {
        "format": FORMAT,
        "input_id": known.input_id,
        "id": known.exchange_id,
        "started_at": known.started_at,
        "latency_seconds": known.latency_seconds,
        "status": known.status,
        "caller": known.caller,
        "model": known.model,
        "version": known.version,
        "inputs": [orjson.Fragment(given)],
        "outputs": [None if output is None else orjson.Fragment(output)],
        "first_index": known.input_index,
        "collector": known.collector,
        "sample_exchanges": known.sample_exchanges,
        "sample_inputs": known.sample_inputs,
        "created_at": known.created_at,
    }
    if posted is not None:
        line["posted"] = orjson.Fragment(posted)
    return dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def read_entries(content: bytes) -> list[Entry]:
    """The entries of lines that `write_entry` wrote, each input once: a repeat of one that came before is left out."""
    entries: dict[str, Entry] = {}
    for line in content.splitlines(keepends=True):
        entry = _read(line)
        entries.setdefault(entry.known.input_id, entry)
    return list(entries.values())


def _read(line: bytes) -> Entry:
    document = orjson.loads(line)
    renamed = {"exchange_id": "id", "input_index": "first_index"}
    known = Known(*[document[renamed.get(name, name)] for name in Known._fields])
    return Entry(line, known, document["inputs"][0], document["outputs"][0], document.get("posted"))
