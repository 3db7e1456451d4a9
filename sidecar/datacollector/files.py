"""Rows to CSV files in the documented layout, where there is no sidecar.

Promises that every file has one header, which all of its rows fit: other columns start another file beside it,
`data-1.csv` and so on. Several processes may write to the same folder: each write is one append under a lock, taken
back when the disk takes only a part of it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import time
from typing import BinaryIO

from sidecar.datacollector.correlations import COLUMNS, rfc3339
from sidecar.datacollector.record import Identity, Record
from sidecar.datacollector.sink import Sink

if sys.platform != "win32":
    import fcntl

ROOT = "modeldata"
_UNFIT = re.compile(r'[/\\\0<>:"|?*\r\n]')
_MOST_FILES = 10_000


class Files(Sink):
    """The files under `folder`, which is the working directory when blank."""

    def __init__(self, folder: str, *, by_hour: bool = False) -> None:
        self.folder = os.path.abspath(folder or ".")
        self.by_hour = by_hour

    def __str__(self) -> str:
        return f"the folder {self.folder!r}{' by hour' if self.by_hour else ''}"

    def write(self, records: list[Record], dropped: int = 0) -> None:
        """Append `records` and take them out of the list."""
        places: dict[tuple[str, str, tuple[str, ...]], list[Record]] = {}
        for record in records:
            key = (self._folder_of(record), fit(record.file_stem), record.table.columns)
            places.setdefault(key, []).append(record)
        for (folder, stem, columns), group in places.items():
            os.makedirs(folder, exist_ok=True)
            _append(folder, stem, csv_text([[*COLUMNS, *columns]]), csv_text(_lines(group)))
            written = set(map(id, group))
            records[:] = [record for record in records if id(record) not in written]

    def _folder_of(self, record: Record) -> str:
        inside = folder_of(record.identity, record.identifier, record.correlation.seconds, by_hour=self.by_hour)
        return os.path.join(self.folder, *inside.split("/"))


def folder_of(who: Identity, identifier: str, seconds: float, *, by_hour: bool = False) -> str:
    """The documented folder of rows, with `/` between its parts; `seconds` since the epoch tell the date, in UTC."""
    model = "-".join((who.model_id, who.model_name, who.model_version))
    parts = (who.subscription, who.resource_group, who.account, who.webservice, model, identifier)
    date = time.strftime("%Y/%m/%d/%H" if by_hour else "%Y/%m/%d", time.gmtime(seconds))
    return "/".join([ROOT, *[fit(part) for part in parts], date])


def fit(part: str) -> str:
    """`part` as one name in a path, whatever a user put into it."""
    name = _UNFIT.sub("_", part)
    return "_" if name.strip(".") == "" else name


def _lines(records: list[Record]) -> list[list[object]]:
    lines: list[list[object]] = []
    for record in records:
        when = record.correlation
        before = [rfc3339(when.seconds), when.correlation_id, when.request_id]
        lines.extend([*before, *["" if cell != cell else cell for cell in row]] for row in record.table.rows)  # NaN
    return lines


def csv_text(lines: list[list[object]]) -> bytes:
    """Lines of cells as the documented files have them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8", "replace")


def _append(folder: str, stem: str, header: bytes, content: bytes) -> None:
    for number in range(_MOST_FILES):
        name = f"{stem}-{number}.csv" if number else stem + ".csv"
        with open(os.path.join(folder, name), "a+b", buffering=0) as file:
            _lock(file)
            end = file.seek(0, os.SEEK_END)
            file.seek(0)
            if end and file.read(len(header)) != header:
                continue
            _write(file, content if end else header + content, end)
            return
    raise OSError(f"{folder}: too many files with other columns")


def _write(file: BinaryIO, content: bytes, end: int) -> None:
    try:
        written = file.write(content)
    except OSError:
        written = 0
    if written != len(content):
        file.truncate(end)
        raise OSError("the disk took only a part of the rows")


def _lock(file: BinaryIO) -> None:
    """Until the file is closed; a system without such locks goes without."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)
