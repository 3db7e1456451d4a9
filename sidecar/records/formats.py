"""Every format in which kept inputs can be written, by hand: how, and which extra it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence

from sidecar.records.azure_csv_files import write_azure_csv
from sidecar.records.azure_files import write_azure
from sidecar.records.entries import Entry
from sidecar.records.parquet_files import MISSING, write_parquet
from sidecar.records.record_file import RecordFile, hour, join
from sidecar.records.sagemaker_files import write_sagemaker

Write = Callable[[Sequence[Entry], str], Iterator[RecordFile]]
"""(entries, name) → the files that hold them; the same ones for the same entries and name, and `name` is in each path's
last part. What a file refers to comes before it."""


def write_exchanges(entries: Sequence[Entry], name: str) -> Iterator[RecordFile]:
    """Our own JSONL, complete: `{collector}/{yyyy}/{mm}/{dd}/{hh}/{name}.jsonl`."""
    lines: dict[str, list[bytes]] = {}
    for entry in entries:
        folder = join(entry.known.collector.replace("/", "."), *hour(entry.known.started_at))
        lines.setdefault(f"{folder}/{name}.jsonl", []).append(entry.line)
    for path, content in lines.items():
        yield RecordFile(path, b"".join(content))


FORMATS: Mapping[str, Write] = {
    "exchange": write_exchanges,
    "parquet": write_parquet,
    "sagemaker": write_sagemaker,
    "azure": write_azure,
    "azure-csv": write_azure_csv,
}


def check_format(name: str) -> None:
    """Raise ValueError for a format that there is not, or that lacks its extra."""
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(MISSING)
